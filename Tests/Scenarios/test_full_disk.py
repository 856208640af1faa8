"""No room under the state directory: what is there goes on working, and says what it lacks."""

from lab import ThreeClusters, ping, reaches, run, wait_until
from lab.gateways import Gateway, Slice

SLICE = "payments"


def problems(gateway):
    report = gateway.status()
    return "\n".join(text for one in report["slices"] for text in one["problems"])


def test_a_full_disk(lab):
    """Under the state directory: attaching and applying are refused whole, what was there goes on
    working, and with room again the same commands succeed."""
    world = ThreeClusters(lab, "delay 1ms", clusters=("west", "east"))
    slice = Slice(world)
    tiny = lab.directory / "tiny"
    tiny.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=192k,mode=700", "tmpfs", tiny)
    try:
        west = Gateway(world, "west", [slice], settings={"stateDirectory": str(tiny / "state")})
        east = Gateway(world, "east", [slice])
        west.start(), east.start()
        west.attach(slice, world.endpoint("west"), "first")
        east_address = east.attach(slice, world.endpoint("east"), "e")["endpoint"]["addresses"][0]
        east_address = east_address.split("/")[0]
        before = {path.name: path.read_bytes()
                  for path in (tiny / "state" / "slices" / SLICE).iterdir() if path.is_file()}
        filler = tiny / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(4096))
            except OSError:
                pass
        extra = lab.namespace("extra")
        refused = west.ctl("attach", SLICE, "kafka/extra", "--netns", extra.full_name, check=False)
        assert refused.returncode != 0
        assert "space" in refused.stderr and str(tiny) in refused.stderr, refused.stderr
        assert extra.interfaces() == ["lo"]
        newer = slice.directory / "newer.yaml"
        newer.write_text(slice.text(version=2))
        slice.sign(newer)
        refused = west.ctl("slice", "apply", newer, check=False)
        assert refused.returncode != 0 and "space" in refused.stderr, refused.stderr
        assert west.status(SLICE)["manifestVersion"] == 1
        assert before == {path.name: path.read_bytes()
                          for path in (tiny / "state" / "slices" / SLICE).iterdir()
                          if path.is_file()}
        assert reaches(world.endpoint("west"), east_address, 3)
        west.restart()
        wait_until(lambda: ping(world.endpoint("west"), east_address, 1, patience=1).received, 20,
                   "the slice to work after a restart on a full disk")
        assert problems(west) == ""
        slice.write_manifest(version=3)
        slice.sign()
        west.restart()
        wait_until(lambda: ping(world.endpoint("west"), east_address, 1, patience=1).received, 20,
                   "the slice to work though the newer manifest finds no room")
        said = problems(west)
        assert "space" in said and "version 1" in said and "reload" in said, said
        assert west.status(SLICE)["manifestVersion"] == 1
        filler.unlink()
        assert west.attach(slice, extra, "extra")["changed"] is True
        assert west.ask("slice", "apply", newer)["changed"] is True
        assert west.status(SLICE)["manifestVersion"] == 2
        west.ctl("reload")
        assert west.status(SLICE)["manifestVersion"] == 3 and problems(west) == ""
        west.stop()
    finally:
        for process in lab.processes:
            if "slice-gateway" in process.label:
                process.kill()
        run("umount", "--lazy", tiny)
