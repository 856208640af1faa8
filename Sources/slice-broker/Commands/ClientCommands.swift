import ArgumentParser

/// The commands that ask a cluster.
package enum ClientCommands {
    package static let all: [any ParsableCommand.Type] = [
        ProduceCommand.self, ConsumeCommand.self, TopicsCommand.self, OffsetsCommand.self,
        RecordsCommand.self, GroupsCommand.self, ConfigsCommand.self, ClusterCommand.self,
        BrokersCommand.self, QuorumCommand.self, FeaturesCommand.self, LogDirsCommand.self,
        LeadersCommand.self, ReassignCommand.self,
    ]
}
