"""What is going on, while it goes on: on a terminal a block that is redrawn in place, elsewhere a
line every two seconds."""

import time

from screen import FRAMES

BARS = " ▁▂▃▄▅▆▇█"
WIDTHS = (8, 21, 6, 8, 7, 7, 7)
HEADER = ("CLUSTER", "BROKER", "LEADS", "IN SYNC", "SENT/S", "ACKS/S", "READ/S")
# A line that is broken in two could not be drawn over.
NARROWEST = 3 + sum(WIDTHS) + 2 * (len(WIDTHS) - 1)


class Progress:
    """`with screen`: draws whenever the workload was asked for news."""

    def __init__(self, screen, workload, text):
        self.screen, self.workload, self.text = screen, workload, text
        self.is_live = screen.is_live and not screen.is_quiet and screen.width >= NARROWEST
        self.height, self.last, self.frame = 0, 0.0, 0

    def __enter__(self):
        self.workload.on_news = self.draw
        return self

    def __exit__(self, *_):
        self.workload.on_news = lambda: None
        self.clear()

    def update(self, text):
        if text != self.text:
            self.text, self.last = text, 0.0
            self.draw()

    def draw(self):
        now = time.monotonic()
        if now - self.last < (0.2 if self.is_live else 2):
            return
        self.last = now
        if self.is_live:
            self.redraw()
        else:
            self.screen.line("   " + self.summary(), "dim")

    def summary(self):
        load = self.workload
        p50, p99 = load.latency(without=load.unreachable)
        return (f"{load.clock():5.1f} s  {load.rate_of(load.samples):5.0f}/s  "
                f"p50 {ms(p50)} p99 {ms(p99)}  "
                f"leaders {'/'.join(str(load.leads(name)) for name in load.names)}  "
                f"in sync {'/'.join(str(load.in_sync(name)) for name in load.names)}  "
                f"lag {load.lag():4}  {self.text}")

    def redraw(self):
        load, paint = self.workload, self.screen.paint
        self.frame += 1
        lines = [f" {paint(FRAMES[self.frame % len(FRAMES)], 'blue')} {load.clock():4.0f} s  "
                 f"{paint(self.text, 'strong')}", "",
                 "   " + paint(columns(HEADER), "dim")]
        total = len(load.partitions())
        controller = load.controller()
        for name in load.names:
            words, tint = load.state(name)
            if name == controller:
                words += ", controller"
            sent = load.produced.get(name, {})
            cells = columns((
                name, "", load.leads(name), f"{load.in_sync(name)}/{total}",
                f"{load.sent_rate(name):.0f}" if sent else "-",
                f"{load.rate_of(load.samples, name):.0f}",
                f"{load.rate_of(load.reads, name):.0f}"))
            at = WIDTHS[0] + 2
            words = paint(words.ljust(WIDTHS[1]), tint)
            lines.append("   " + cells[:at] + words + cells[at + WIDTHS[1]:])
        p50, p99 = load.latency(without=load.unreachable)
        bars = load.spark(BARS, min(40, self.screen.width - 54))
        lines += ["", f"   p50 {ms(p50)}  p99 {ms(p99)}  not read yet {load.lag():5}  "
                  + paint(bars, "good")]
        with self.screen._lock:
            self.screen._write(self.upwards() + "".join(f"\033[K{line}\n" for line in lines))
        self.height = len(lines)

    def upwards(self):
        return f"\033[{self.height}A" if self.height else ""

    def clear(self):
        if self.height:
            with self.screen._lock:
                self.screen._write(self.upwards() + "\033[J")
            self.height = 0


def columns(cells):
    return "  ".join(str(cell).ljust(width) if n < 2 else str(cell).rjust(width)
                     for n, (cell, width) in enumerate(zip(cells, WIDTHS)))


def ms(value):
    return "   -   " if value is None else f"{value:6.1f} ms" if value < 1000 else (
        f"{value / 1000:6.2f} s ")
