import ArgumentParser

struct Slice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write, sign, check, show and apply the manifest of a slice.",
        discussion: """
            The manifest says what a slice is: its prefixes, its clusters and their gateways' \
            keys. Its owner signs it; gateways refuse it unsigned, changed, or older than what \
            they have.

            EXAMPLE
              slicectl slice new --name payments --prefix 10.80.0.0/16 \\
                  --cluster west=us-west,192.0.2.1:51820,$(slicectl pubkey west.key) \\
                  --cluster east=us-east,192.0.2.7:51820,$(slicectl pubkey east.key) \\
                  --namespace kafka --output payments.yaml
              slicectl slice sign payments.yaml --key payments-owner.key
              slicectl slice apply payments.yaml
            """,
        subcommands: [
            SliceNew.self, SliceSign.self, SliceVerify.self, SliceShow.self, SliceApply.self,
        ])
}
