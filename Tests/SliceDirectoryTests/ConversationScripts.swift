import Testing

@Suite struct ConversationScripts {
    @Test func aClusterIsFollowed() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 3 at 7
            > hears east begin 7
            > hears east items kafka/a=10.80.2.2@1 kafka/b=10.80.2.3@2
            # Not before all is there.
            > view
              east absent:
              north absent:
              west fresh:
            > hears east end 7
              view: east
            > view
              east fresh: kafka/a=10.80.2.2 kafka/b=10.80.2.3
              north absent:
              west fresh:
            > hears east delta 7 9 -kafka/a +kafka/c=10.80.2.2@9
              view: east
            > view
              east fresh: kafka/b=10.80.2.3 kafka/c=10.80.2.2
              north absent:
              west fresh:
            # A silence, and a word.
            > wait 3300
              to east: heartbeat 9 manifest 1
              to east: heartbeat 9 manifest 1
              close north
              to east: heartbeat 9 manifest 1
              view: east
            > view
              east stale for 3300 ms: kafka/b=10.80.2.3 kafka/c=10.80.2.2
              north absent:
              west fresh:
            > hears east heartbeat 9
              view: east
            > view
              east fresh: kafka/b=10.80.2.3 kafka/c=10.80.2.2
              north absent:
              west fresh:
            """)
    }

    @Test func aLostStreamIsTakenUpAgain() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 3 at 7
            > hears east begin 7
            > hears east items kafka/a=10.80.2.2@1
            > hears east end 7
              view: east
            > lost east
            > wait 600
              connect to east at 10.80.2.1
            > connected east
              to east: hello pay west life 5 knows 3 at 7
            # It goes on from where it was.
            > hears east welcome east life 3 at 8
            > hears east delta 7 8 +kafka/b=10.80.2.3@8
              view: east
            # Something is missing: all is asked for anew.
            > hears east delta 9 10 +kafka/c=10.80.2.4@10
              report: cluster east leaves out changes: everything is asked for again
              to east: refusal: changes are missing
              close east
            > wait 600
              connect to east at 10.80.2.1
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > view
              east fresh: kafka/a=10.80.2.2 kafka/b=10.80.2.3
              north absent:
              west fresh:
            """)
    }

    @Test func whatIsNotTheirsIsLeftOut() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 3 at 4
            > hears east begin 4
            > hears east items kafka/a=10.80.2.2@1 kafka/b=10.80.2.2@2 kafka/c=10.80.3.9@3 \
            kafka/gw=10.80.2.1@4
            > hears east end 4
              report: cluster east claims 10.80.2.2 for kafka/b and for kafka/a: the older \
            claim, kafka/a's, stands
              view: east
            > view
              east fresh: kafka/a=10.80.2.2
              north absent:
              west fresh:
            > problems
              cluster east claims 10.80.2.2 for kafka/b and for kafka/a: the older claim, \
            kafka/a's, stands
              cluster east claims 10.80.3.9 for kafka/c, which lies outside its prefixes: the \
            record is left out
              cluster east claims 10.80.2.1 for kafka/gw, which is its gateway's or its \
            network's: the record is left out
            # The older claim goes: the younger has the address now.
            > hears east delta 4 5 -kafka/a
              view: east
            > view
              east fresh: kafka/b=10.80.2.2
              north absent:
              west fresh:
            # The manifest gives east another prefix, and all is judged anew.
            > manifest 2 east 10.80.3.0/25
              to east: heartbeat 5 manifest 2
              view: east
            > view
              east fresh: kafka/c=10.80.3.9
              north absent:
              west fresh:
            """)
    }

    @Test func aFollowerIsTold() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > own kafka/a=10.80.1.2 kafka/x=10.80.2.9
              view: west
            > problems
              cluster west claims 10.80.2.9 for kafka/x, which lies outside its prefixes: the \
            record is left out
            > accept east
            > asks east hello pay east life 3
              to east as follower: welcome west life 5 at 1
              to east as follower: begin 1
              to east as follower: items kafka/a=10.80.1.2@1
              to east as follower: end 1
            > own kafka/a=10.80.1.2 kafka/b=10.80.1.3
              to east as follower: delta 1 2 +kafka/b=10.80.1.3@2
              view: west
            # It has been away, and is told what it has missed.
            > accept east
            > asks east hello pay east life 3 knows 5 at 1
              to east as follower: refusal: replaced by a newer stream
              close east as follower
              to east as follower: welcome west life 5 at 2
              to east as follower: delta 1 2 +kafka/b=10.80.1.3@2
            > own kafka/b=10.80.1.3
              to east as follower: delta 2 3 -endpoint kafka/a
              view: west
            """)
    }

    @Test func strangersAndOtherSlicesAreRefused() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > accept 192.0.2.1
              close 192.0.2.1 as follower
              report: a connection from 192.0.2.1 was refused: it is no other gateway's address
            > accept east
            > asks east hello pay north life 3
              report: the gateway at cluster east's address says it is another's, north's
              to east as follower: refusal: the address belongs to another cluster
              close east as follower
            > accept east
            > asks east hello other east life 3
              report: cluster east speaks for another slice, other
              to east as follower: refusal: another slice
              close east as follower
            > accept east
            > asks east heartbeat 3
              report: cluster east sends a message where none of its kind belongs
              to east as follower: refusal: unexpected message
              close east as follower
            > problems
              the gateway at cluster east's address says it is another's, north's
              cluster east speaks for another slice, other
              cluster east sends a message where none of its kind belongs
            """)
    }

    @Test func theNewerGatewayOfAClusterWins() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 3 at 0
            # It has started again, and says so before the old stream is known to be dead.
            > accept east
            > asks east hello pay east life 4
              close east
              to east as follower: welcome west life 5 at 0
              connect to east at 10.80.2.1
              to east as follower: begin 0
              to east as follower: end 0
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 4 at 0
            > hears east begin 0
            > hears east end 0
              view: east
            # The old one is not dead at all.
            > accept east
            > asks east hello pay east life 3
              report: two gateways say that they are cluster east's: number 4 is followed, \
            number 3 is refused; stop one of them
              to east as follower: refusal: a newer gateway of the same cluster is known
              close east as follower
            > problems
              two gateways say that they are cluster east's: number 4 is followed, number 3 is \
            refused; stop one of them
            # And north says the same of ourselves.
            > connected north
              to north: hello pay west life 5 knows 0 at 0
            > hears north refusal olderIncarnation
              report: cluster north knows a newer gateway of this cluster and refuses this one: \
            stop one of them, or start this one again if the other is gone
              close north
            """)
    }

    @Test func manifestsComeFromWhoeverIsNewer() {
        DirectoryScript.expect(
            """
            > node 5
              connect to east at 10.80.2.1
              connect to north at 10.80.3.1
              view: east, north
            > connected east
              to east: hello pay west life 5 knows 0 at 0
            > hears east welcome east life 3 at 0 manifest 1
            > hears east heartbeat 0 manifest 3
              to east: ask
            > hears east offer 3 9
            > hears east bytes versi
            # One at a time.
            > connected north
              to north: hello pay west life 5 knows 0 at 0
            > hears north welcome north life 1 at 0 manifest 4
            > hears east bytes on_3
              manifest 3 from east: version_3
            # Not what the owner signed: not again from east. North is asked.
            > refuse-manifest east 3
              report: cluster east offered a manifest, version 3, that was refused
              to north: ask
            > hears north offer 4 9
            > hears north bytes version_4
              manifest 4 from north: version_4
            > manifest 4
              to east: heartbeat 0 manifest 4
              to north: heartbeat 0 manifest 4
            > hears east heartbeat 0 manifest 3
            # Nobody asked.
            > hears north bytes more
              report: cluster north sends a message where none of its kind belongs
              to north: refusal: unexpected message
              close north
            """)
    }
}
