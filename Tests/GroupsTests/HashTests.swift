import Groups
import Testing

/// The expected numbers come from a Java program that printed
/// `hashCode()`, and its absolute value modulo 50 and 7, for each of the ids.
@Suite struct HashTests {
    @Test(
        arguments: [
            ("", 0, 0),
            ("a", 47, 6),
            ("group", 47, 3),
            ("test-consumer-group", 31, 5),  // -1793216381
            ("console-consumer-12345", 6, 6),
            ("connect-cluster", 13, 5),
            ("grüppe", 12, 3),  // -1233264812
            ("群", 26, 0),
            ("😀-group", 43, 3),  // two UTF-16 units; -1198440043
            // Of these three the hash is the lowest Int32, which has no absolute value.
            ("polygenelubricants", 0, 0),
            ("GydZG_", 0, 0),
            ("DESIGNING WORKHOUSES", 0, 0),
        ] as [(String, Int32, Int32)])
    func partitionOfGroup(id: String, of50: Int32, of7: Int32) {
        #expect(GroupCoordinator.partition(forGroup: id, count: 50) == of50)
        #expect(GroupCoordinator.partition(forGroup: id, count: 7) == of7)
        #expect(GroupCoordinator.partition(forGroup: id, count: 1) == 0)
        #expect(GroupCoordinator.partition(forGroup: id, count: 0) == 0)
    }
}
