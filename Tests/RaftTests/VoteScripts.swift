import Testing

@Suite struct VoteScripts {
    @Test func votesGoToOneCandidateAnEpoch() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,1,2 epoch 2
              to 3: fetch epoch 2 at 3@2 hw 0 ms 0
              leader - epoch 2
            > vote from 2 epoch 3 last 3@2
              persist epoch 3 leader - voted 2@0-2
              reply 1: vote granted leader - epoch 3
              to 2: fetch epoch 3 at 3@2 hw 0 ms 0
              leader - epoch 3
              is unattached-voted
            > vote from 3 epoch 3 last 9@2
              reply 2: vote refused leader - epoch 3
            # The same again is the same answer, and after a restart too.
            > vote from 2 epoch 3 last 3@2
              reply 3: vote granted leader - epoch 3
            > restart
              to 3: fetch epoch 3 at 3@2 hw 0 ms 0
              leader - epoch 3
            > vote from 3 epoch 3 last 9@2
              reply 4: vote refused leader - epoch 3
            > vote from 2 epoch 3 last 3@2
              reply 5: vote granted leader - epoch 3
            # A shorter log, or one that ends in an older epoch, does not get it.
            > vote from 3 epoch 4 last 2@2
              persist epoch 4 leader - voted -
              reply 6: vote refused leader - epoch 4
              to 2: fetch epoch 4 at 3@2 hw 0 ms 0
              leader - epoch 4
              is unattached
            > vote from 3 epoch 4 last 9@1
              reply 7: vote refused leader - epoch 4
            > vote from 3 epoch 4 last 3@2
              persist epoch 4 leader - voted 3@0-3
              reply 8: vote granted leader - epoch 4
              to 2: fetch epoch 4 at 3@2 hw 0 ms 0
              is unattached-voted
            # From the past.
            > vote from 2 epoch 3 last 3@2
              reply 9: vote refused FENCED_LEADER_EPOCH leader - epoch 4
            """)
    }

    @Test func whatIsWrongWithARequestIsSaid() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 5
              to 3: fetch epoch 5 at 0@0 hw 0 ms 0
              leader - epoch 5
            > vote from 2 epoch 6 last 0@0 cluster other
              reply 1: vote refused INCONSISTENT_CLUSTER_ID (top level) leader - epoch -1
            > vote from 2 epoch 6 last 0@6
              reply 2: vote refused INVALID_REQUEST leader - epoch 5
            > vote from 2 epoch 6 last -1@0
              reply 3: vote refused INVALID_REQUEST leader - epoch 5
            > vote from 2 epoch 6 last 0@-1
              reply 4: vote refused INVALID_REQUEST leader - epoch 5
            > vote from 2 epoch -1 last 0@0
              reply 5: vote refused INVALID_REQUEST leader - epoch 5
            > vote from 1 epoch 6 last 0@0
              reply 6: vote refused INVALID_REQUEST leader - epoch 5
            > vote from -1 epoch 6 last 0@0
              reply 7: vote refused INVALID_REQUEST leader - epoch 5
            > vote from 9 epoch 6 last 0@0
              reply 8: vote refused INCONSISTENT_VOTER_SET leader - epoch 5
            > vote from 2 epoch 2147483647 last 0@0
              reply 9: vote refused INVALID_REQUEST leader - epoch 5
            > begin from 2 epoch 4
              reply 10: begin FENCED_LEADER_EPOCH leader - epoch 5
            > begin from 1 epoch 6
              reply 11: begin INVALID_REQUEST leader - epoch 5
            > begin from 9 epoch 6
              reply 12: begin INCONSISTENT_VOTER_SET leader - epoch 5
            > begin from 2 epoch 6 cluster other
              reply 13: begin INCONSISTENT_CLUSTER_ID (top level) leader - epoch -1
            > end from 2 epoch 4
              reply 14: end FENCED_LEADER_EPOCH leader - epoch 5
            > end from 9 epoch 6
              reply 15: end INCONSISTENT_VOTER_SET leader - epoch 5
            > end from 2 epoch 6 cluster other
              reply 16: end INCONSISTENT_CLUSTER_ID (top level) leader - epoch -1
            > fetch from 2 epoch 5 at 0@0 cluster other
              reply 17: fetch INCONSISTENT_CLUSTER_ID (top level) leader - epoch -1 hw -1
            > fetch from 2 epoch 5 at 0@0
              reply 18: fetch NOT_LEADER_OR_FOLLOWER leader - epoch 5 hw 0
            > fetch from 2 epoch 4 at 0@0
              reply 19: fetch FENCED_LEADER_EPOCH leader - epoch 5 hw 0
            > fetch from 2 epoch 6 at 0@0
              reply 20: fetch UNKNOWN_LEADER_EPOCH leader - epoch 5 hw 0
            > fetch from 2 epoch 5 at -1@0
              reply 21: fetch INVALID_REQUEST leader - epoch 5 hw 0
            > fetch from 2 epoch 5 at 0@-1
              reply 22: fetch INVALID_REQUEST leader - epoch 5 hw 0
            > fetch from 2 epoch 5 at 1@6
              reply 23: fetch INVALID_REQUEST leader - epoch 5 hw 0
            > fetch from 1 epoch 5 at 0@0
              reply 24: fetch INVALID_REQUEST leader - epoch 5 hw 0
            > fetch from 2 epoch 5 at 0@0 ms -1
              reply 25: fetch INVALID_REQUEST leader - epoch 5 hw 0
            > chunk from 2 epoch 5 of 3@1 position 0 cluster other
              reply 26: chunk INCONSISTENT_CLUSTER_ID (top level) position 0 of 0, 0 bytes
            > chunk from 2 epoch 5 of 3@1 position 0
              reply 27: chunk NOT_LEADER_OR_FOLLOWER position 0 of 0, 0 bytes
            # A vote that was meant for another replica still tells the epoch.
            > vote from 2 epoch 6 last 0@0 voter 3
              persist epoch 6 leader - voted -
              reply 28: vote refused INVALID_VOTER_KEY leader - epoch 6
              to 2: fetch epoch 6 at 0@0 hw 0 ms 0
              leader - epoch 6
            """)
    }

    @Test func aPreVoteBindsToNothing() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1 epoch 2
              to 3: fetch epoch 2 at 1@1 hw 0 ms 0
              leader - epoch 2
            > vote from 2 epoch 2 last 1@1 pre
              reply 1: vote granted leader - epoch 2
            > vote from 3 epoch 2 last 1@1 pre
              reply 2: vote granted leader - epoch 2
            > vote from 3 epoch 2 last 0@0 pre
              reply 3: vote refused leader - epoch 2
            > begin from 2 epoch 2
              persist epoch 2 leader 2 voted -
              reply 4: begin leader 2 epoch 2
              to 2: fetch epoch 2 at 1@1 hw 0 ms 200
              leader 2 epoch 2
              is follower
            # A follower that has not heard its leader yet would have another one.
            > vote from 3 epoch 2 last 1@1 pre
              reply 5: vote granted leader 2 epoch 2
            > answer 2 fetch epoch 2 leader 2 hw 1
              to 2: fetch epoch 2 at 1@1 hw 1 ms 200
              committed up to 1
            # One that hears it would not, whatever the log of the asker.
            > vote from 3 epoch 2 last 9@2 pre
              reply 6: vote refused leader 2 epoch 2
            # Nor would it vote in the leader's epoch.
            > vote from 3 epoch 2 last 9@1
              reply 7: vote refused leader 2 epoch 2
            """)
    }
}
