import Testing

@Suite struct ConversationScripts {
    @Test func aClusterIsFollowed() {
        DirectoryScript.expect(
            """
            > node 5
            > connected east
            > hears east welcome east life 3 at 7
            > hears east begin 7
            > hears east items kafka/a=10.80.2.2@1 kafka/b=10.80.2.3@2
            # Not before all is there.
            > view
            > hears east end 7
            > view
            > hears east delta 7 9 -kafka/a +kafka/c=10.80.2.2@9
            > view
            # A silence, and a word.
            > wait 3300
            > view
            > hears east heartbeat 9
            > view
            """)
    }

    @Test func aLostStreamIsTakenUpAgain() {
        DirectoryScript.expect(
            """
            > node 5
            > connected east
            > hears east welcome east life 3 at 7
            > hears east begin 7
            > hears east items kafka/a=10.80.2.2@1
            > hears east end 7
            > lost east
            > wait 600
            > connected east
            # It goes on from where it was.
            > hears east welcome east life 3 at 8
            > hears east delta 7 8 +kafka/b=10.80.2.3@8
            # Something is missing: all is asked for anew.
            > hears east delta 9 10 +kafka/c=10.80.2.4@10
            > wait 600
            > connected east
            > view
            """)
    }

    @Test func whatIsNotTheirsIsLeftOut() {
        DirectoryScript.expect(
            """
            > node 5
            > connected east
            > hears east welcome east life 3 at 4
            > hears east begin 4
            > hears east items kafka/a=10.80.2.2@1 kafka/b=10.80.2.2@2 kafka/c=10.80.3.9@3 kafka/gw=10.80.2.1@4
            > hears east end 4
            > view
            > problems
            # The older claim goes: the younger has the address now.
            > hears east delta 4 5 -kafka/a
            > view
            # The manifest gives east another prefix, and all is judged anew.
            > manifest 2 east 10.80.3.0/25
            > view
            """)
    }

    @Test func aFollowerIsTold() {
        DirectoryScript.expect(
            """
            > node 5
            > own kafka/a=10.80.1.2 kafka/x=10.80.2.9
            > problems
            > accept east
            > asks east hello pay east life 3
            > own kafka/a=10.80.1.2 kafka/b=10.80.1.3
            # It has been away, and is told what it has missed.
            > accept east
            > asks east hello pay east life 3 knows 5 at 1
            > own kafka/b=10.80.1.3
            """)
    }

    @Test func strangersAndOtherSlicesAreRefused() {
        DirectoryScript.expect(
            """
            > node 5
            > accept 192.0.2.1
            > accept east
            > asks east hello pay north life 3
            > accept east
            > asks east hello other east life 3
            > accept east
            > asks east heartbeat 3
            > problems
            """)
    }

    @Test func theNewerGatewayOfAClusterWins() {
        DirectoryScript.expect(
            """
            > node 5
            > connected east
            > hears east welcome east life 3 at 0
            # It has started again, and says so before the old stream is known to be dead.
            > accept east
            > asks east hello pay east life 4
            > connected east
            > hears east welcome east life 4 at 0
            > hears east begin 0
            > hears east end 0
            # The old one is not dead at all.
            > accept east
            > asks east hello pay east life 3
            > problems
            # And north says the same of ourselves.
            > connected north
            > hears north refusal olderIncarnation
            """)
    }

    @Test func manifestsComeFromWhoeverIsNewer() {
        DirectoryScript.expect(
            """
            > node 5
            > connected east
            > hears east welcome east life 3 at 0 manifest 1
            > hears east heartbeat 0 manifest 3
            > hears east offer 3 9
            > hears east bytes versi
            # One at a time.
            > connected north
            > hears north welcome north life 1 at 0 manifest 4
            > hears east bytes on_3
            # Not what the owner signed: not again from east. North is asked.
            > refuse-manifest east 3
            > hears north offer 4 9
            > hears north bytes version_4
            > manifest 4
            > hears east heartbeat 0 manifest 3
            # Nobody asked.
            > hears north bytes more
            """)
    }
}
