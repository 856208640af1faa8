import Testing

@Suite struct FollowerScripts {
    @Test func recordsAreFetchedAndFlushed() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1 leader 2
              to 2: fetch epoch 1 at 0@0 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 0 records 0@1,1@1
              to 2: fetch epoch 1 at 2@1 hw 0 ms 200
            # The high watermark is no further than the own log.
            > answer 2 fetch epoch 1 leader 2 hw 9 records 2@1
              to 2: fetch epoch 1 at 3@1 hw 3 ms 200
              committed up to 3
            > log
              log 0..3 flushed 3 epochs [1 1 1] hw 3
            # Doubled and late answers find nobody.
            > refuse 3
            > answer 3 fetch epoch 1 leader 2 hw 9 records 3@1
            > log
              log 0..3 flushed 3 epochs [1 1 1] hw 3
            """)
    }

    @Test func aLazyDiskHoldsTheNextFetch() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1 leader 2 lazy
              to 2: fetch epoch 1 at 0@0 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 0 records 0@1,1@1
            > log
              log 0..2 flushed 0 epochs [1 1] hw 0
            > flushed
              to 2: fetch epoch 1 at 2@1 hw 0 ms 200
            """)
    }

    @Test func aDivergingLogIsCutBack() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,1,2,2,2 epoch 4 leader 2
              to 2: fetch epoch 4 at 5@2 hw 0 ms 200
              leader 2 epoch 4
            > answer 2 fetch epoch 4 leader 2 hw 2 diverging 4@1
              truncated to 2
              to 2: fetch epoch 4 at 2@1 hw 0 ms 200
            > log
              log 0..2 flushed 2 epochs [1 1] hw 0
            > answer 2 fetch epoch 4 leader 2 hw 2 records 2@3,3@4
              to 2: fetch epoch 4 at 4@4 hw 2 ms 200
              committed up to 2
            > log
              log 0..4 flushed 4 epochs [1 1 3 4] hw 2
            # Never below what is committed.
            > answer 2 fetch epoch 4 leader 2 hw 2 diverging 1@1
              warning truncationBelowHighWatermark(asked: 1, highWatermark: 2)
            > log
              log 0..4 flushed 4 epochs [1 1 3 4] hw 2
            > wait
              after 50 ms
              to 2: fetch epoch 4 at 4@4 hw 2 ms 200
            > answer 2 fetch epoch 4 leader 2 hw 2 diverging 0@0
              warning truncationBelowHighWatermark(asked: 0, highWatermark: 2)
            """)
    }

    @Test func recordsThatDoNotFitAreRefused() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1 epoch 2 leader 2
              to 2: fetch epoch 2 at 1@1 hw 0 ms 200
              leader 2 epoch 2
            > answer 2 fetch epoch 2 leader 2 hw 1 records 3@2
              warning invalidRecords(from: 2, "offset 3 epoch 2")
            > wait
              after 50 ms
              to 2: fetch epoch 2 at 1@1 hw 0 ms 200
            > answer 2 fetch epoch 2 leader 2 hw 1 records 1@3
              warning invalidRecords(from: 2, "offset 1 epoch 3")
            > wait
              after 50 ms
              to 2: fetch epoch 2 at 1@1 hw 0 ms 200
            > answer 2 fetch epoch 2 leader 2 hw 1 records 1@2,2@1
              warning invalidRecords(from: 2, "offset 2 epoch 1")
            > log
              log 0..1 flushed 1 epochs [1] hw 0
            """)
    }

    @Test func aSnapshotTakesTheLogsPlace() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,2 epoch 5 leader 2
              to 2: fetch epoch 5 at 2@2 hw 0 ms 200
              leader 2 epoch 5
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 7@4
              to 2: chunk epoch 5 of 7@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 7@4 position 0 count 20
              to 2: chunk epoch 5 of 7@4 position 20
            > log
              log 0..2 flushed 2 epochs [1 2] hw 0
            > answer 2 chunk epoch 5 leader 2 of 7@4 position 20
              installed snapshot 7@4
              to 2: fetch epoch 5 at 7@4 hw 7 ms 200
              committed up to 7
            > log
              log 7..7 flushed 7 epochs [] hw 7
            > answer 2 fetch epoch 5 leader 2 hw 9 records 7@5
              to 2: fetch epoch 5 at 8@5 hw 8 ms 200
              committed up to 8
            # One that would take something back is not for this node.
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 6@4
              warning snapshotBelowHighWatermark((6, epoch 4), highWatermark: 8)
            """)
    }

    @Test func aSnapshotThatIsNotWhatWasAskedForIsDropped() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 5 leader 2
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
              leader 2 epoch 5
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 7@4
              to 2: chunk epoch 5 of 7@4 position 0
            # The leader has a newer one.
            > answer 2 chunk epoch 5 leader 2 of 7@4 position 0 error SNAPSHOT_NOT_FOUND
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 7@4 position 0 count 20
              warning invalidSnapshot(from: 2, (8, epoch 4), "another snapshot")
            > wait
              after 50 ms
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 0 count 20 size 99999999999
              warning invalidSnapshot(from: 2, (8, epoch 4), "too large")
            > wait
              after 50 ms
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 0 count 20
              to 2: chunk epoch 5 of 8@4 position 20
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 20 size 27
              warning invalidSnapshot(from: 2, (8, epoch 4), "size 27")
            > wait
              after 50 ms
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 0 count 0
              warning invalidSnapshot(from: 2, (8, epoch 4), "an empty part")
            > wait
              after 50 ms
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 0 size -5
              warning invalidSnapshot(from: 2, (8, epoch 4), "more than the whole")
            # Whole, and not what it says it is.
            > wait
              after 50 ms
              to 2: fetch epoch 5 at 0@0 hw 0 ms 200
            > answer 2 fetch epoch 5 leader 2 hw 9 snapshot 8@4
              to 2: chunk epoch 5 of 8@4 position 0
            > answer 2 chunk epoch 5 leader 2 of 8@4 position 0 count 20 size 20
              warning invalidSnapshot(from: 2, (8, epoch 4), "not that snapshot")
            > log
              log 0..0 flushed 0 epochs [] hw 0
            """)
    }

    @Test func theEndOfALeaderIsAnnounced() {
        RaftScript.expect(
            """
            # The first of the successors stands at once,
            > node 1 voters 1,2,3,4,5 log 1 epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 1
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
              committed up to 1
            > end from 2 epoch 1 preferred 1,3,4,5
              reply 1: end leader 2 epoch 1
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              to 4: vote epoch 1 last 1@1 pre
              to 5: vote epoch 1 last 1@1 pre
              is prospective
            # the others later; they would vote for another one now, though they heard the leader.
            > node 1 voters 1,2,3,4,5 log 1 epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 1
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
              committed up to 1
            > end from 2 epoch 1 preferred 3,1,4,5
              reply 2: end leader 2 epoch 1
            > vote from 3 epoch 1 last 1@1 pre
              reply 3: vote granted leader 2 epoch 1
            > wait
              after 100 ms
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              to 4: vote epoch 1 last 1@1 pre
              to 5: vote epoch 1 last 1@1 pre
              is prospective
            > node 1 voters 1,2,3,4,5 log 1 epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 1
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
              committed up to 1
            > end from 2 epoch 1 preferred 3,4,5,1
              reply 4: end leader 2 epoch 1
            > wait
              after 400 ms
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              to 4: vote epoch 1 last 1@1 pre
              to 5: vote epoch 1 last 1@1 pre
              is prospective
            """)
    }

    @Test func recordsOfAnotherEpochAreNotTaken() {
        RaftScript.expect(
            """
            # Asked in epoch 1, answered in epoch 2: the question does not hold any more.
            > node 1 voters 1,2,3 epoch 1 leader 2
              to 2: fetch epoch 1 at 0@0 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 2 leader 2 hw 1 records 0@1
              persist epoch 2 leader 2 voted -
              to 2: fetch epoch 2 at 0@0 hw 0 ms 200
              leader 2 epoch 2
            > log
              log 0..0 flushed 0 epochs [] hw 0
            # Nor is an answer out of the past of any use.
            > answer 2 fetch epoch 1 leader 2 hw 1 records 0@1
            > log
              log 0..0 flushed 0 epochs [] hw 0
            """)
    }

    @Test func aLostAnswerIsAskedForAgain() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1 leader 2
              to 2: fetch epoch 1 at 0@0 hw 0 ms 200
              leader 2 epoch 1
            > wait
              after 500 ms
              to 2: fetch epoch 1 at 0@0 hw 0 ms 200 max 524288
            > answer 2 fetch epoch 1 leader 2 hw 0 records 0@1
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
            """)
    }
}
