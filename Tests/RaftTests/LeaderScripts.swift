import Testing

@Suite struct LeaderScripts {
    @Test func recordsAreCommittedByAMajority() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,1 epoch 1
              to 3: fetch epoch 1 at 2@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 2@1 pre
              to 3: vote epoch 1 last 2@1 pre
              is prospective
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 2@1
              to 3: vote epoch 2 last 2@1
              leader - epoch 2
              is candidate
            > answer 2 vote epoch 2 granted
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 2
              to 2: begin epoch 2
              to 3: begin epoch 2
              leader 1 epoch 2
              is leader
            # The records of the old epoch are on two disks, and yet not committed by that.
            > fetch from 2 epoch 2 at 2@1
              reply 1: fetch leader 1 epoch 2 hw 0, 1 records
            > timer
            > log
              log 0..3 flushed 3 epochs [1 1 2L] hw 0
            # The first record of the new epoch commits them all, and whoever waits is told at once.
            > fetch from 3 epoch 2 at 3@2 hw 0
              reply 2: fetch leader 1 epoch 2 hw 3
              committed up to 3
            > fetch from 2 epoch 2 at 3@2 hw 3
            # Proposals that come together are appended together, sent on, and then flushed.
            > propose 1
            > propose 2
            > propose 0
              proposal 6: refused, empty
            > timer
              proposal 4: appended 3...3 epoch 2
              proposal 5: appended 4...5 epoch 2
              reply 3: fetch leader 1 epoch 2 hw 3, 3 records
            > timer
            > fetch from 3 epoch 2 at 6@2 hw 3
              reply 7: fetch leader 1 epoch 2 hw 6
              committed up to 6
            > fetch from 2 epoch 2 at 3@2 hw 3
              reply 8: fetch leader 1 epoch 2 hw 6, 3 records
            > quorum
              NONE leader 1 epoch 2 hw 6
              voter 1 end 6 fetched - caught up 0ms
              voter 2 end 3 fetched 0ms caught up 0ms
              voter 3 end 6 fetched 0ms caught up 0ms
            """)
    }

    @Test func aLongPollEnds() {
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
            > fetch from 2 epoch 2 at 1@2 hw 1 ms 200
              committed up to 1
            # A second question of the same replica: the first is over.
            > fetch from 2 epoch 2 at 1@2 hw 1 ms 200
              reply 1: fetch leader 1 epoch 2 hw 1
            > wait ms 199
            > wait ms 1
              reply 2: fetch leader 1 epoch 2 hw 1
            # Without a high watermark of its own only records end the wait.
            > fetch from 3 epoch 2 at 1@2
            > fetch from 8 epoch 2 at 1@2
            > fetch from -1 epoch 2 at 1@2
            > propose 1
            > timer
              proposal 6: appended 1...1 epoch 2
              reply 3: fetch leader 1 epoch 2 hw 1, 1 records
              reply 4: fetch leader 1 epoch 2 hw 1, 1 records
              reply 5: fetch leader 1 epoch 2 hw 1, 1 records
            > quorum
              NONE leader 1 epoch 2 hw 1
              voter 1 end 2 fetched - caught up 0ms
              voter 2 end 1 fetched 200ms caught up 200ms
              voter 3 end 1 fetched 0ms caught up 0ms
              observer 8 end 1 fetched 0ms caught up 0ms
            """)
    }

    @Test func divergingLogsAreTold() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,1,3,3 epoch 3
              to 3: fetch epoch 3 at 4@3 hw 0 ms 0
              leader - epoch 3
            > wait ms 800
              to 2: vote epoch 3 last 4@3 pre
              to 3: vote epoch 3 last 4@3 pre
              is prospective
            > answer 2 vote epoch 3 granted
              persist epoch 4 leader - voted 1@0-1
              to 2: vote epoch 4 last 4@3
              to 3: vote epoch 4 last 4@3
              leader - epoch 4
              is candidate
            > answer 2 vote epoch 4 granted
              persist epoch 4 leader 1 voted 1@0-1
              became leader of epoch 4 from 4
              to 2: begin epoch 4
              to 3: begin epoch 4
              leader 1 epoch 4
              is leader
            > fetch from 2 epoch 4 at 5@1
              reply 1: fetch leader 1 epoch 4 hw 0 diverging 2@1
            > fetch from 2 epoch 4 at 4@2
              reply 2: fetch leader 1 epoch 4 hw 0 diverging 2@1
            > fetch from 2 epoch 4 at 9@4
              reply 3: fetch leader 1 epoch 4 hw 0 diverging 5@4
            > fetch from 2 epoch 4 at 2@0
              reply 4: fetch leader 1 epoch 4 hw 0 diverging 0@0
            > fetch from 2 epoch 4 at 2@1 ms 0
              reply 5: fetch leader 1 epoch 4 hw 0, 3 records
            """)
    }

    @Test func snapshotsAreServedInParts() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 log 1,1,1 epoch 1
              to 3: fetch epoch 1 at 3@1 hw 0 ms 0
              leader - epoch 1
            > wait ms 800
              to 2: vote epoch 1 last 3@1 pre
              to 3: vote epoch 1 last 3@1 pre
              is prospective
            > answer 2 vote epoch 1 granted
              persist epoch 2 leader - voted 1@0-1
              to 2: vote epoch 2 last 3@1
              to 3: vote epoch 2 last 3@1
              leader - epoch 2
              is candidate
            > answer 2 vote epoch 2 granted
              persist epoch 2 leader 1 voted 1@0-1
              became leader of epoch 2 from 3
              to 2: begin epoch 2
              to 3: begin epoch 2
              leader 1 epoch 2
              is leader
            > timer
            > fetch from 2 epoch 2 at 4@2 ms 0
              reply 1: fetch leader 1 epoch 2 hw 4
              committed up to 4
            > snapshot 3
              log 3..4 flushed 4 epochs [2L] hw 4
            > fetch from 3 epoch 2 at 0@0
              reply 2: fetch leader 1 epoch 2 hw 4 snapshot 3@1
            > fetch from 3 epoch 2 at 2@1
              reply 3: fetch leader 1 epoch 2 hw 4 snapshot 3@1
            > fetch from 3 epoch 2 at 3@1 ms 0
              reply 4: fetch leader 1 epoch 2 hw 4, 1 records
            > fetch from 3 epoch 2 at 3@2
              reply 5: fetch leader 1 epoch 2 hw 4 snapshot 3@1
            > chunk from 3 epoch 2 of 3@1 position 0 max 20
              reply 6: chunk position 0 of 28, 20 bytes
            > chunk from 3 epoch 2 of 3@1 position 20 max 20
              reply 7: chunk position 20 of 28, 8 bytes
            > chunk from 3 epoch 2 of 3@1 position 28
              reply 8: chunk POSITION_OUT_OF_RANGE position 0 of 0, 0 bytes
            > chunk from 3 epoch 2 of 3@1 position -1
              reply 9: chunk POSITION_OUT_OF_RANGE position 0 of 0, 0 bytes
            > chunk from 3 epoch 2 of 2@1 position 0
              reply 10: chunk SNAPSHOT_NOT_FOUND position 0 of 0, 0 bytes
            > chunk from 3 epoch 1 of 3@1 position 0
              reply 11: chunk FENCED_LEADER_EPOCH position 0 of 0, 0 bytes
            > chunk from 3 epoch 3 of 3@1 position 0
              reply 12: chunk UNKNOWN_LEADER_EPOCH position 0 of 0, 0 bytes
            """)
    }

    @Test func aDiskThatFailsEndsANode() {
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
            > propose 1
            > fail
              lost leadership of epoch 2
              proposal 1: refused, notLeader
              halted: storage("planted")
            > propose 1
              proposal 2: refused, notLeader
            > fetch from 2 epoch 2 at 1@2
              reply 3: fetch KAFKA_STORAGE_ERROR (top level) leader - epoch -1 hw -1
            > vote from 2 epoch 3 last 9@2
              reply 4: vote refused KAFKA_STORAGE_ERROR (top level) leader - epoch -1
            > wait
              nothing to wait for
            """)
    }

    @Test func aLazyDiskIsWaitedFor() {
        RaftScript.expect(
            """
            > node 1 voters 1,2,3 epoch 1 lazy
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
            > fetch from 2 epoch 2 at 1@2 hw 0
            > flushed
              reply 1: fetch leader 1 epoch 2 hw 1
              committed up to 1
            """)
    }
}
