import Testing

@Suite struct ElectionScripts {
    @Test func threeVotersElectOne() {
        RaftScript.expect(
            """
            # A node that knows nothing asks somebody who leads, and stands for election soon: it
            # knows of nobody whom it could disturb.
            > node 1 voters 1,2,3
              to 3: fetch epoch 0 at 0@0 hw 0 ms 0
              leader - epoch 0
            > answer 3 fetch epoch 0 error NOT_LEADER_OR_FOLLOWER
            > wait ms 50
              to 2: vote epoch 0 last 0@0 pre
              to 3: vote epoch 0 last 0@0 pre
              is prospective
            # Nobody's epoch changes before a majority would vote.
            > answer 2 vote epoch 0 granted
              persist epoch 1 leader - voted 1@0-1
              to 2: vote epoch 1 last 0@0
              to 3: vote epoch 1 last 0@0
              leader - epoch 1
              is candidate
            # Its vote for itself is on disk before it asks for others.
            > answer 2 vote epoch 1 granted
              persist epoch 1 leader 1 voted 1@0-1
              became leader of epoch 1 from 0
              to 2: begin epoch 1
              to 3: begin epoch 1
              leader 1 epoch 1
              is leader
            > timer
            > answer 2 begin epoch 1 leader 1
            # An answer to another question than the last one.
            > answer 3 vote epoch 1 granted
              warning refused(by: 3, UNKNOWN_SERVER_ERROR)
            > quorum
              NONE leader 1 epoch 1 hw 0
              voter 1 end 1 fetched - caught up 0ms
              voter 2 end -1 fetched - caught up -
              voter 3 end -1 fetched - caught up -
            """)
    }

    @Test func oneVoterElectsItself() {
        RaftScript.expect(
            """
            > node 1 voters 1
              persist epoch 1 leader 1 voted 1@0-1
              became leader of epoch 1 from 0
              leader 1 epoch 1
              is leader
            > timer
              committed up to 1
            > propose 2
            > timer
              proposal 1: appended 1...2 epoch 1
            > timer
              committed up to 3
            > log
              log 0..3 flushed 3 epochs [1L 1 1] hw 3
            """)
    }

    /// It hands over to nobody, and waits for nobody.
    @Test func oneVoterThatLedLeadsAgainAtOnce() {
        RaftScript.expect(
            """
            > node 1 voters 1 log 3 epoch 3 leader 1 voted 1
              persist epoch 4 leader 1 voted 1@0-1
              became leader of epoch 4 from 1
              leader 1 epoch 4
              is leader
            > timer
              committed up to 2
            """)
    }

    @Test func aFollowerWithoutLeaderStandsAndLosesQuietly() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1 epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 1
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
              committed up to 1
            > wait ms 1000
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            # 3 hears the leader; it is asked again, as it may not for long.
            > answer 3 vote epoch 1 leader 2
            > wait
              after 50 ms
              to 3: vote epoch 1 last 1@1 pre
            > answer 3 vote epoch 1 leader 2
            # The leader itself refuses: it is there, and is followed as before.
            > answer 2 vote epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200 max 524288
              is follower
            """)
    }

    @Test func refusedConnectionsEndTrustInALeader() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1 epoch 1 leader 2
              to 2: fetch epoch 1 at 1@1 hw 0 ms 200
              leader 2 epoch 1
            > answer 2 fetch epoch 1 leader 2 hw 1
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
              committed up to 1
            > vote from 3 epoch 1 last 1@1 pre
              reply 1: vote refused leader 2 epoch 1
            > refuse 2
            > wait
              after 50 ms
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
            > refuse 2
            > wait
              after 50 ms
              to 2: fetch epoch 1 at 1@1 hw 1 ms 200
            > refuse 2
              warning leaderConnectionRefused(2)
            # From now on another leader is welcome.
            > vote from 3 epoch 1 last 1@1 pre
              reply 2: vote granted leader 2 epoch 1
            > wait
              after 30 ms
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            > wait
              after 500 ms
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
            """)
    }

    @Test func aSplitVoteEndsInABackoff() {
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
            > answer 2 vote epoch 2
            > answer 3 vote epoch 2
            > wait
              after 50 ms
              to 2: vote epoch 2 last 0@0 pre
              to 3: vote epoch 2 last 0@0 pre
              is prospective
            """)
    }

    @Test func ofTwoRivalsOneGoesFirst() {
        RaftScript.expect(
            """
            # The one with the lower id, if their logs are as long.
            > node 2 voters 1,2,3 log 1 epoch 1
              to 3: fetch epoch 1 at 1@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 1: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            > vote from 1 epoch 1 last 1@1 pre
              reply 1: vote granted leader - epoch 1
            > answer 1 vote epoch 1 granted
            > vote from 1 epoch 2 last 1@1
              persist epoch 2 leader - voted 1@0-1
              reply 2: vote granted leader - epoch 2
              to 1: fetch epoch 2 at 1@1 hw 0 ms 0 max 524288
              leader - epoch 2
              is unattached-voted
            # Only once, and not for ever.
            > node 2 voters 1,2,3 log 1 epoch 1
              to 3: fetch epoch 1 at 1@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 1: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            > vote from 1 epoch 1 last 1@1 pre
              reply 3: vote granted leader - epoch 1
            > answer 1 vote epoch 1 granted
            > wait
              after 300 ms
              persist epoch 2 leader - voted 2@0-2
              to 1: vote epoch 2 last 1@1
              to 3: vote epoch 2 last 1@1
              leader - epoch 2
              is candidate
            # Not to a higher id,
            > node 1 voters 1,2,3 log 1 epoch 1
              to 3: fetch epoch 1 at 1@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            > vote from 2 epoch 1 last 1@1 pre
              reply 4: vote granted leader - epoch 1
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 1@1
              to 3: vote epoch 2 last 1@1
              leader - epoch 2
              is candidate
            # but to a longer log.
            > node 1 voters 1,2,3 log 1 epoch 1
              to 3: fetch epoch 1 at 1@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 1@1 pre
              to 3: vote epoch 1 last 1@1 pre
              is prospective
            > vote from 2 epoch 1 last 2@1 pre
              reply 5: vote granted leader - epoch 1
            > answer 3 vote epoch 1 granted
            """)
    }

    @Test func aCandidateYields() {
        RaftScript.expect(
            """
            # To a leader of its epoch.
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
            > begin from 3 epoch 2
              persist epoch 2 leader 3 voted 1@0-1
              reply 1: begin leader 3 epoch 2
              to 3: fetch epoch 2 at 0@0 hw 0 ms 200 max 524288
              leader 3 epoch 2
              is follower
            # To a later epoch.
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
            > answer 3 vote epoch 7 leader 2 error FENCED_LEADER_EPOCH
              persist epoch 7 leader 2 voted -
              to 2: fetch epoch 7 at 0@0 hw 0 ms 200 max 524288
              leader 2 epoch 7
              is follower
            # Not to an answer out of the past.
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
            > answer 2 vote epoch 1 granted
            """)
    }

    @Test func twoLeadersInOneEpochAreNotBelieved() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 3 leader 2
              to 2: fetch epoch 3 at 0@0 hw 0 ms 200
              leader 2 epoch 3
            > begin from 3 epoch 3
              warning inconsistentLeader(epoch: 3, known: Optional(2), claimed: 3)
              reply 1: begin INVALID_REQUEST leader 2 epoch 3
            > end from 3 epoch 3 preferred 1
              warning inconsistentLeader(epoch: 3, known: Optional(2), claimed: 3)
              reply 2: end INVALID_REQUEST leader 2 epoch 3
            > answer 2 fetch epoch 3 leader 3 hw 0
              warning inconsistentLeader(epoch: 3, known: Optional(2), claimed: 3)
            """)
    }

    @Test func aRestartSpeaksNoMoreForItsEpoch() {
        RaftScript.expect(
            """
            # A leader.
            > node 1 voters 1,2,3 log 1,2 epoch 2 leader 1 voted 1
              to 2: end epoch 2 preferred -
              to 3: end epoch 2 preferred -
              leader 1 epoch 2
            > vote from 2 epoch 2 last 9@1
              reply 1: vote refused leader 1 epoch 2
            > answer 2 end epoch 2 leader 1
            > answer 3 end epoch 2 leader 1
            > wait
              after 407 ms
              persist epoch 3 leader - voted -
              to 3: fetch epoch 3 at 2@2 hw 0 ms 0
              leader - epoch 3
              is unattached
            # A candidate.
            > node 1 voters 1,2,3 log 1 epoch 2 voted 1
              to 3: fetch epoch 2 at 1@1 hw 0 ms 0
              leader - epoch 2
            # A log that is ahead of the state.
            > node 1 voters 1,2,3 log 1,4 epoch 2 voted 1
              persist epoch 4 leader - voted -
              to 3: fetch epoch 4 at 2@4 hw 0 ms 0
              leader - epoch 4
            # A directory that lost its state: it neither votes in that epoch nor leads it.
            > node 1 voters 1,2,3
              to 3: fetch epoch 0 at 0@0 hw 0 ms 0
              leader - epoch 0
            > answer 3 fetch epoch 6 leader 1 error FENCED_LEADER_EPOCH
              persist epoch 6 leader 1 voted -
              to 2: fetch epoch 6 at 0@0 hw 0 ms 0
              leader 1 epoch 6
            > vote from 3 epoch 6 last 0@0
              reply 2: vote refused leader 1 epoch 6
            """)
    }

    @Test func anObserverFollowsAndNeverStands() {
        RaftScript.expect(
            """
            > node 9 voters 1,2,3
              to 1: fetch epoch 0 at 0@0 hw 0 ms 0
              leader - epoch 0
            > answer 1 fetch epoch 4 leader 2 error FENCED_LEADER_EPOCH
              persist epoch 4 leader 2 voted -
              to 2: fetch epoch 4 at 0@0 hw 0 ms 200
              leader 2 epoch 4
              is observer
            > answer 2 fetch epoch 4 leader 2 hw 2 records 0@1,1@4
              to 2: fetch epoch 4 at 2@4 hw 2 ms 200
              committed up to 2
            > refuse 2
            > wait
              after 50 ms
              to 2: fetch epoch 4 at 2@4 hw 2 ms 200
            > refuse 2
            > wait
              after 50 ms
              to 2: fetch epoch 4 at 2@4 hw 2 ms 200
            > refuse 2
              warning leaderConnectionRefused(2)
            > wait
              after 23 ms
              persist epoch 4 leader - voted -
              to 2: fetch epoch 4 at 2@4 hw 2 ms 0
              leader - epoch 4
              is unattached
            > vote from 2 epoch 5 last 9@4
              reply 1: vote refused INCONSISTENT_VOTER_SET leader - epoch 4
            """)
    }
}
