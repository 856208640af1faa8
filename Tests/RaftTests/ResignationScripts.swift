import Testing

@Suite struct ResignationScripts {
    @Test func aLeaderWithoutMajorityResigns() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1
              to 3: fetch epoch 1 at 0@0 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 0@0 pre
              to 3: vote epoch 1 last 0@0 pre
              is prospective
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 0@0
              to 3: vote epoch 2 last 0@0
              leader - epoch 2
              is candidate
            > answer 2 vote epoch 2 granted
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 0
              to 2: begin epoch 2
              to 3: begin epoch 2
              leader 1 epoch 2
              is leader
            > answer 2 begin epoch 2 leader 1
            > answer 3 begin epoch 2 leader 1
            > timer
            > fetch from 2 epoch 2 at 1@2 ms 0
              reply 1: fetch leader 1 epoch 2 hw 1
              committed up to 1
            > wait ms 500
              to 2: begin epoch 2
              to 3: begin epoch 2
            > wait ms 600
              to 2: begin epoch 2
              to 3: begin epoch 2
            > propose 1
            > fetch from 8 epoch 2 at 1@2
            > wait ms 100
              warning lostQuorum(epoch: 2)
              lost leadership of epoch 2
              proposal 2: refused, notLeader
              reply 3: fetch NOT_LEADER_OR_FOLLOWER leader 1 epoch 2 hw 1
              to 2: end epoch 2 preferred 2,3
              to 3: end epoch 2 preferred 2,3
              is resigned
            # Its epoch is over for it.
            > fetch from 2 epoch 2 at 1@2
              reply 4: fetch NOT_LEADER_OR_FOLLOWER leader 1 epoch 2 hw 1
            > vote from 2 epoch 2 last 9@1
              reply 5: vote refused leader 1 epoch 2
            > answer 2 end epoch 2 leader 1
            """)
    }

    /// One that is told that it cannot lead does not stand again on the spot, and again, and again.
    @Test func theOnlyVoterThatResignsTakesItsTime() {
        RaftScript.expect(
            """
            > node 1 voters 1 epoch 1
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 0
              leader 1 epoch 2
              is leader
            > resign epoch 2
              lost leadership of epoch 2
              is resigned
            > timer
            > wait ms 3000
              persist epoch 4 leader 1 voted 1@0-1
              became leader of epoch 4 from 1
              leader 1 epoch 4
              is leader
            """)
    }

    @Test func aLeaderHandsOver() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1
              to 3: fetch epoch 1 at 0@0 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 0@0 pre
              to 3: vote epoch 1 last 0@0 pre
              is prospective
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 0@0
              to 3: vote epoch 2 last 0@0
              leader - epoch 2
              is candidate
            > answer 2 vote epoch 2 granted
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 0
              to 2: begin epoch 2
              to 3: begin epoch 2
              leader 1 epoch 2
              is leader
            > timer
            > propose 3
            > timer
              proposal 1: appended 1...3 epoch 2
            > fetch from 3 epoch 2 at 4@2 ms 0
              reply 2: fetch leader 1 epoch 2 hw 1
              committed up to 1
            > fetch from 2 epoch 2 at 1@2 ms 0
              reply 3: fetch leader 1 epoch 2 hw 1, 3 records
            > propose 1
            > shutdown
              lost leadership of epoch 2
              proposal 4: refused, notLeader
              to 2: end epoch 2 preferred 3,2
              to 3: end epoch 2 preferred 3,2
              is resigned
            > propose 1
              proposal 5: refused, notLeader
            > answer 3 end epoch 2 leader 1
            > answer 2 end epoch 3 leader 3 error FENCED_LEADER_EPOCH
              persist epoch 3 leader 3 voted -
              shut down
              leader 3 epoch 3
              is follower
            > fetch from 2 epoch 2 at 1@2
              reply 6: fetch BROKER_NOT_AVAILABLE (top level) leader - epoch -1 hw -1
            """)
    }

    @Test func aLeaderMeetsALaterEpoch() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1
              to 3: fetch epoch 1 at 0@0 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 0@0 pre
              to 3: vote epoch 1 last 0@0 pre
              is prospective
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 0@0
              to 3: vote epoch 2 last 0@0
              leader - epoch 2
              is candidate
            > answer 2 vote epoch 2 granted
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 0
              to 2: begin epoch 2
              to 3: begin epoch 2
              leader 1 epoch 2
              is leader
            > timer
            > fetch from 2 epoch 2 at 1@2 hw 1
              committed up to 1
            > propose 1
            > vote from 3 epoch 3 last 1@2
              lost leadership of epoch 2
              proposal 2: refused, notLeader
              reply 1: fetch NOT_LEADER_OR_FOLLOWER leader 1 epoch 2 hw 1
              persist epoch 3 leader - voted 3@0-3
              reply 3: vote granted leader - epoch 3
              to 2: fetch epoch 3 at 1@2 hw 1 ms 0 max 524288
              leader - epoch 3
              is unattached-voted
            """)
    }
}
