# `make demo` and `make test` do everything by themselves on a machine that has Swift 6.3.

PYTHON := /usr/bin/python3
# Programs for people: the Swift runtime linked in, one file each.
STATIC := .build-static
# GNU ld, because it alone makes constants read-only again: see the script.
STATIC_FLAGS := -c release --scratch-path $(STATIC) --static-swift-stdlib \
	-Xlinker --gc-sections \
	-Xswiftc -use-ld=bfd -Xlinker -T -Xlinker $(CURDIR)/Sources/C/constants.ld
PROGRAMS := slice-gateway slicectl slice-broker wan-relay
# Called on any node's host, whatever libraries that has: everything linked in.
STATIC_PROGRAMS := slice-cni
PREFIX ?= /usr/local
# Where the container runtime looks for plugins: /opt/cni/bin for most, /usr/lib/cni for Debian's.
CNI_BIN ?= $(PREFIX)/lib/cni
# Only what is missing is installed; as root, or through sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

BUILD_PACKAGES := libsodium-dev libmnl-dev libnftables-dev libyaml-dev zlib1g-dev \
	libzstd-dev liblz4-dev libsnappy-dev pkg-config python3 \
	$(if $(filter x86_64,$(shell uname -m)),libipsec-mb-dev)
RUN_PACKAGES := iproute2 iputils-ping nftables procps kcat python3-pip
TEST_PACKAGES := $(RUN_PACKAGES) python3-pytest python3-cryptography wireguard-go \
	wireguard-tools openvpn openssl nebula iperf3 ethtool tcpdump socat util-linux libcap2-bin \
	systemd gcc librdkafka-dev containernetworking-plugins podman crun busybox-static valgrind \
	python3-jsonschema python3-yaml dnsutils

.PHONY: help deps deps-build deps-run deps-test build programs demo test bench bench-tunnel \
	bench-kafka bench-policies bench-distance bench-scale sim fuzz faults fmt lint \
	install uninstall clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

deps: deps-build deps-run deps-test  ## Install the Debian packages that building and testing need

# $(call ensure,PACKAGES): installs those of them that are not there.
define ensure
	@missing=$$(for p in $(1); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing" $$missing; \
	    $(SUDO) apt-get update -q >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q \
	        --no-install-recommends $$missing >/dev/null; \
	fi
endef

deps-build:
	$(call ensure,$(BUILD_PACKAGES))

deps-run:
	$(call ensure,$(RUN_PACKAGES))

deps-test:
	$(call ensure,$(TEST_PACKAGES))

build: deps-build  ## Build the programs into .build-static/release
	@for p in $(PROGRAMS); do swift build $(STATIC_FLAGS) --product $$p || exit 1; done
	@for p in $(STATIC_PROGRAMS); do \
	    swift build -c release --scratch-path $(STATIC)-executable \
	        -Xswiftc -static-executable --product $$p && \
	    install -D $(STATIC)-executable/release/$$p $(STATIC)/release/$$p || exit 1; done
	@ln -sf slice-gateway $(STATIC)/release/slice-gateway-wireguard

demo: deps-run build  ## Three clusters, one slice, one Kafka on it, watched while things break
	@BIN=$(CURDIR)/$(STATIC)/release; KAFKA_PYTHON_SITE=$$(Tests/Clients/site.sh) || exit 1; \
	    export KAFKA_PYTHON_SITE; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    SLICECTL_BIN=$$BIN/slicectl WAN_RELAY=$$BIN/wan-relay SLICE_BROKER_BIN=$$BIN/slice-broker \
	    PYTHONPATH=Tests/Lab $(PYTHON) Tests/Lab/demo $(DEMO_FLAGS)

test: deps  ## Build once, run every suite
	@Tests/run.sh

bench: bench-tunnel bench-policies bench-kafka bench-distance  ## Measure all of it, write Docs/Benchmarks.md and Docs/Benchmarks

bench-tunnel: deps build  ## Measure the tunnel against wireguard-go and openvpn
	@BIN=$(CURDIR)/$(STATIC)/release; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    PYTHONPATH=Tests/Lab $(PYTHON) Tests/Bench/bench.py $(BENCH_FLAGS)

bench-policies: deps build  ## Measure what policies and endpoints cost a slice
	@BIN=$(CURDIR)/$(STATIC)/release; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    SLICECTL_BIN=$$BIN/slicectl \
	    PYTHONPATH=Tests/Lab $(PYTHON) Tests/Bench/policy_bench.py $(BENCH_FLAGS)

bench-kafka: deps build  ## Measure three brokers, by themselves and over a slice
	@BIN=$(CURDIR)/$(STATIC)/release; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    SLICECTL_BIN=$$BIN/slicectl WAN_RELAY=$$BIN/wan-relay SLICE_BROKER_BIN=$$BIN/slice-broker \
	    PYTHONPATH=Tests/Lab $(PYTHON) Tests/Bench/kafka_bench.py $(BENCH_FLAGS)

faults: deps build  ## Real brokers over a slice, killed and cut off by chance (SECONDS=600)
	@BIN=$(CURDIR)/$(STATIC)/release; KAFKA_PYTHON_SITE=$$(Tests/Clients/site.sh) || exit 1; \
	    export KAFKA_PYTHON_SITE; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    SLICECTL_BIN=$$BIN/slicectl WAN_RELAY=$$BIN/wan-relay SLICE_BROKER_BIN=$$BIN/slice-broker \
	    $(PYTHON) Tests/KafkaScenarios/faults.py $(or $(SECONDS),600)

bench-distance: deps build  ## Measure TCP and Kafka between places far apart, with and without a slice
	@BIN=$(CURDIR)/$(STATIC)/release; SLICE_GATEWAY_BIN=$$BIN/slice-gateway \
	    SLICECTL_BIN=$$BIN/slicectl WAN_RELAY=$$BIN/wan-relay SLICE_BROKER_BIN=$$BIN/slice-broker \
	    PYTHONPATH=Tests/Lab $(PYTHON) Tests/Bench/distance_bench.py $(BENCH_FLAGS)

bench-scale: deps-build  ## A tunnel with 10,000 peers: memory, timers, look-ups, handshakes
	@swift build -c release --scratch-path .build-sim --product tunnel-scale && \
	    .build-sim/release/tunnel-scale

sim: deps-build  ## Kafka clusters, and a directory of 300 gateways, in simulated time (SEEDS=n)
	@swift build -c release --scratch-path .build-sim --static-swift-stdlib \
	    -Xswiftc -cross-module-optimization --product simulate && \
	    SIMULATE_BIN=.build-sim/release/simulate Tests/Simulation/run.sh
	@swift build -c release --scratch-path .build-sim --product simulate-directory && \
	    SIMULATE_DIRECTORY_BIN=.build-sim/release/simulate-directory GATEWAYS=300 \
	    ENDPOINTS=10000 Tests/DirectorySimulation/run.sh

fuzz: deps-build  ## Fuzz every parser for a while (SECONDS_EACH=60)
	@Tests/Fuzz/run.sh $(or $(SECONDS_EACH),60)

fmt:  ## Format the Swift sources
	@swift format --in-place --recursive --configuration .swift-format Sources Tests Package.swift

lint:
	@$(PYTHON) Tests/Tidy/tidy.py

install: build  ## Install programs, example configuration and unit under PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/etc/slice-gateway \
	    $(DESTDIR)/etc/systemd/system
	install -s -m 0755 $(STATIC)/release/slice-gateway $(STATIC)/release/slicectl \
	    $(STATIC)/release/slice-broker $(DESTDIR)$(PREFIX)/bin/
	ln -sf slice-gateway $(DESTDIR)$(PREFIX)/bin/slice-gateway-wireguard
	install -d $(DESTDIR)$(CNI_BIN)
	install -s -m 0755 $(STATIC)/release/slice-cni $(DESTDIR)$(CNI_BIN)/
	[ -e $(DESTDIR)/etc/slice-gateway/gateway.conf ] || \
	    install -m 0644 gateway.conf $(DESTDIR)/etc/slice-gateway/gateway.conf
	install -d $(DESTDIR)/etc/slice-broker
	[ -e $(DESTDIR)/etc/slice-broker/broker.properties ] || \
	    install -m 0644 Systemd/broker.properties \
	        $(DESTDIR)/etc/slice-broker/broker.properties
	for unit in slice-gateway slice-broker; do \
	    sed 's|/usr/local|$(PREFIX)|g' Systemd/$$unit.service \
	        > $(DESTDIR)/etc/systemd/system/$$unit.service; \
	done

uninstall:  ## Remove what install put there, but not the configuration
	rm -f $(DESTDIR)$(PREFIX)/bin/slice-gateway $(DESTDIR)$(PREFIX)/bin/slicectl \
	    $(DESTDIR)$(PREFIX)/bin/slice-gateway-wireguard \
	    $(DESTDIR)$(PREFIX)/bin/slice-broker $(DESTDIR)$(CNI_BIN)/slice-cni \
	    $(DESTDIR)/etc/systemd/system/slice-gateway.service \
	    $(DESTDIR)/etc/systemd/system/slice-broker.service

clean:
	rm -rf .build .build-*
