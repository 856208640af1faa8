import AdminAPI
import CNIModel
import SliceModel
import Tunnel
import WanModel

extension FuzzTarget {
    static let texts = [
        FuzzTarget(
            "configuration", words: ConfigurationSeeds.words,
            seeds: { ConfigurationSeeds.all.map { Array($0.utf8) } }
        ) { ConfigurationFuzz.fuzz($0) },
        FuzzTarget(
            "admin-route", maximumBytes: 512,
            words: [
                "/v1/", "version", "status", "slices/", "/endpoints", "/ping", "owners/", "%2F",
                "?",
            ],
            seeds: {
                [
                    "/v1/version", "/v1/status", "/v1/doctor", "/v1/reload", "/v1/manifests",
                    "/v1/slices/payments/endpoints", "/v1/slices/a%2Fb/ping",
                    "/v1/slices/payments/endpoints/kafka/broker-0", "/v1/collect",
                    "/v1/owners/cni%3An%2Fc%2Feth0",
                ].map { Array($0.utf8) }
            }
        ) { AdminRoute.fuzz($0) },
        FuzzTarget("cni", words: cniWords, seeds: { cniSeeds }) { CNIFuzz.run($0) },
        FuzzTarget(
            "manifest", words: yaml + manifestWords,
            seeds: {
                [Array(manifest.utf8), Array((manifest + policies).utf8)]
            }
        ) {
            ManifestFuzz.run($0)
        },
        FuzzTarget("gateway-config", words: yaml + configWords, seeds: { [Array(config.utf8)] }) {
            GatewayConfigFuzz.run($0)
        },
        FuzzTarget("address-book", words: yaml, seeds: { [Array(book.utf8)] }) {
            AddressBookFuzz.run($0)
        },
        FuzzTarget("wan-script", maximumBytes: 512, words: wanWords, seeds: { wanSeeds }) {
            WanScript.fuzz($0)
        },
    ]

    private static let yaml = [
        "&a ", "*a", "<<: *a", "!!str ", "---\n", "...\n", "\t", "\"", "'", "[", "]", "{", "}",
        ": ",
        "- ", "? ", "|\n", ">\n", "#", "\\x41", "\u{2028}", "\u{feff}", "~", "0x1f", "1e9",
        "99999999999999999999", "fd00::/8", "10.0.0.0/8", "true",
    ]

    private static let manifestWords = [
        "apiVersion: ", "kind: ", "metadata: ", "spec: ", "signature: ", "isolation: ", "mtu: ",
        "port: ", "prefixes: ", "clusters: ", "gateways: ", "namespaces: ", "persistentKeepalive: ",
        "presharedKey", "endpoints: ", "region: ", "policies: ", "services: ", "from: ", "to: ",
        "regions: ", "labels: ", "action: deny", "ports: ", "tcp/9092", "icmp", "log: true",
        "\"*\"", "strict", "check: ", "interval: ", "importedBy: ", "names: ", "description: ",
    ]

    private static let manifest = """
        apiVersion: slice-gateway.dev/v1alpha1
        kind: Slice
        metadata:
          name: pay
        spec:
          version: 3
          isolation: open
          port: 51820
          mtu: 1380
          prefixes: [10.80.0.0/16, "fd00:80::/48"]
          clusters:
            - name: west
              region: us-west
              prefixes: [10.80.1.0/24, "fd00:80:0:1::/64"]
              gateways:
                - name: gw
                  publicKey: pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=
                  endpoints: ["192.0.2.1:51820", "[2001:db8::1]:51820"]
            - name: east
              region: ap-east-1
              prefixes: [10.80.3.0/24, "fd00:80:0:3::/64"]
              gateways:
                - name: gw-east
                  publicKey: Xf7dO2vUf2+ijuFdlp1bsOpTd01Ii9r53xxuASSz7yI=
                  persistentKeepalive: 25s
          namespaces:
            - name: kafka
              clusters: [west, east]

        """

    private static let policies = """
          policies:
            - name: clients
              description: applications reach brokers
              from: {namespaces: [apps, "web-*"], clusters: [west], labels: {role: "client*"}}
              to: {namespaces: [kafka], regions: ["us-*"]}
              ports: [tcp/9092, tcp/9093-9095, udp/53, icmp]
              regions: ["us-*", "ap-*"]
            - {name: rest, action: deny, log: true}
          services:
            - name: brokers
              namespace: kafka
              ports: [{name: broker, protocol: tcp, port: 9092}]
              endpoints: {names: ["broker-*"], labels: {role: broker}}
              clusters: [west]
              importedBy: ["*"]
              check: {port: 9092, interval: 2s, timeout: 1s, failures: 2}

        """

    private static let configWords = [
        "cluster: ", "stateDirectory: ", "adminSocket: ", "namespacePrefix: ", "logLevel: ",
        "logFormat: ", "limits: ", "maxSlices: ", "maxEndpointsPerSlice: ", "stagedPackets: ",
        "slices: ", "manifest: ", "owner: ", "privateKeyFile: ", "presharedKeys: ", "listenPort: ",
        "endpoints: ", "namespace: ", "netns: ", "path: ", "pid: ", "labels: ", "dns: ",
        "enabled: ", "zone: ", "forward: ", "resolvConf: ", "directory: ", "grace: ", "http: ",
        "listen: ", "audit: ", "file: ",
    ]

    private static let config = """
        cluster: west
        stateDirectory: /var/lib/slice-gateway
        adminSocket: /run/slice-gateway/admin.sock
        logLevel: info
        limits:
          maxSlices: 16
        dns: {enabled: true, zone: slice.local, forward: [192.0.2.53, "[fd00::53]:53"]}
        directory: {grace: 10m}
        http: {listen: 127.0.0.1:9469}
        audit: {file: /var/log/audit.log}
        slices:
          - manifest: /etc/slice-gateway/payments.yaml
            owner: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
            privateKeyFile: /etc/slice-gateway/payments.key
            presharedKeys:
              east: /etc/slice-gateway/payments-east.psk
            listenPort: 51821
            endpoints:
              - namespace: kafka
                name: broker-0
                netns: broker-0
                labels: {role: broker}
              - namespace: kafka
                name: broker-1
                path: /run/netns/broker-1

        """

    private static let book = """
        {"version": 1,
         "leases": [
          {"namespace": "kafka", "endpoint": "a", "addresses": ["10.80.1.2", "fd00:80:1::2"], \
        "attached": true, "step": 4},
          {"namespace": "kafka", "endpoint": "b", "addresses": ["10.80.1.3"], \
        "attached": false, "step": 5}
         ]}

        """

    private static let cniWords = [
        "\"cniVersion\":\"1.1.0\"", "\"0.4.0\"", "\"name\":\"n\"", "\"slice\":", "\"namespace\":",
        "\"namespaces\":{", "\"endpoint\":\"{pod}\"", "\"labels\":{", "\"interface\":",
        "\"allowArgs\":", "\"dns\":", "\"prevResult\":{", "\"interfaces\":[", "\"ips\":[",
        "\"routes\":[", "\"cni.dev/valid-attachments\":[", "\u{0}K8S_POD_NAMESPACE=a;",
        "K8S_POD_NAME=", "SLICE_LABELS=a:b", "\\ud83d\\ude00", "1e9", "null", "HTTP/1.1 200 OK\r\n",
    ]

    private static let cniSeeds = [
        #"""
        {"cniVersion":"1.1.0","name":"n","type":"slice-cni","slice":"a","namespace":"b",\#
        "labels":{"role":"x"},"prevResult":{"interfaces":[{"name":"eth0"}],"ips":[],"dns":{}},\#
        "cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}]}\#u{0}SLICE_ENDPOINT=x
        """#,
        #"""
        {"cniVersion":"0.4.0","name":"n","endpoint":"{pod}-x","namespaces":{"a":{"slice":"s",\#
        "pods":["b-*"]}},"dns":{"search":["x"]}}\#u{0}K8S_POD_NAMESPACE=a;K8S_POD_NAME=b-0
        """#,
        "HTTP/1.1 404 No\r\nContent-Length: 33\r\n\r\n{\"code\":\"notFound\",\"message\":\"m\"}",
    ].map { Array($0.utf8) }

    private static let wanWords = [
        "seed ", "site ", "limit ", "packets ", "bytes ", "set ", "delay ", "jitter ", "normal",
        "loss ", "burst ", "off", "duplicate ", "reorder ", "by ", "rate ", "queue ", "unlimited",
        "at ", "in ", "cut ", "heal ", "clear ", "show", "stats", "json", "<>", ">", "*", "ms",
        "gbit", "KiB", "%",
    ]

    private static let wanSeeds = [
        "seed 18446744073709551615", "site west 10.81.1.0/24 fd81:1::/64",
        "limit bytes 1MiB packets 9", "set west>east delay 1.5ms jitter 250us normal loss 0.5%",
        "set a<>b burst 1% 20% 90% duplicate 2% reorder 3% by 4ms rate 1.5gbit queue 64KiB",
        "at 5s cut west", "in 500ms heal west>*", "clear *>b", "stats json",
    ].map { Array($0.utf8) }
}

/// Requests in the cross-platform configuration protocol.
private enum ConfigurationSeeds {
    static let words = [
        "get=1\n\n", "set=1\n", "private_key=", "listen_port=", "fwmark=", "replace_peers=true\n",
        "public_key=", "remove=true\n", "update_only=true\n", "preshared_key=", "endpoint=",
        "persistent_keepalive_interval=", "replace_allowed_ips=true\n", "allowed_ip=",
        "allowed_ip=-", "protocol_version=1\n", key, "[fe80::1%eth0]:1", "192.0.2.1:65535",
        "0.0.0.0/0", "::/0",
    ]

    static let key = String(repeating: "5a", count: 32)

    static let all = [
        "get=1\n\n", "set=1\n\n", "get=1\n\nget=1\n\n",
        """
        set=1
        private_key=\(key)
        listen_port=51820
        fwmark=0
        replace_peers=true
        public_key=\(key)
        preshared_key=\(key)
        endpoint=[fe80::1%eth0]:51820
        persistent_keepalive_interval=25
        replace_allowed_ips=true
        allowed_ip=10.0.0.0/8
        allowed_ip=-fd00::/64
        protocol_version=1
        public_key=\(String(key.reversed()))
        update_only=true
        remove=true


        """,
    ]
}
