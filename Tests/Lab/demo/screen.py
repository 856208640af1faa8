"""What the demo says, to eyes and to files: headings, ticks, tables and a small map. Colours, and
the line that changes while it waits, only on a terminal."""

import os
import shutil
import sys
import threading
import time

TINTS = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "strong": "1", "blue": "36"}
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# For terminals without UTF-8.
ASCII = str.maketrans("─│╭╮╰╯┬╌✓✗●○×·▁▂▃▄▅▆▇█⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
                      "-|+++++.+x*ox-__..::##" + "|/-\\" * 2 + "|/") | {ord("…"): "..."}


class Screen:
    def __init__(self, out=None, is_quiet=False, step=False, fast=False):
        self.out = out or sys.stdout
        self.is_live = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.has_colour = self.is_live and not os.environ.get("NO_COLOR")
        self.is_quiet = is_quiet
        self.stops = step and self.is_live and sys.stdin.isatty()
        self.rests = self.is_live and not fast and not is_quiet
        encoding = (self.out.encoding or "ascii").lower().replace("-", "")
        self.is_plain_text = encoding not in ("utf8", "utf16")
        self.width = min(shutil.get_terminal_size((96, 24)).columns, 100) if self.is_live else 96
        self._spinner = None
        self._lock = threading.Lock()

    def paint(self, text, tint):
        return f"\033[{TINTS[tint]}m{text}\033[0m" if tint and self.has_colour else str(text)

    def _write(self, text):
        if self.is_quiet:
            return
        if self.is_plain_text:
            text = text.translate(ASCII)
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            # `make demo | head`: nobody reads any more; what was begun is still taken down.
            self.is_quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())

    def line(self, text="", tint=None):
        with self._lock:
            self._write(self.paint(text, tint) + "\n")

    def title(self, text, under):
        self.line()
        self.line(text, "strong")
        self.line(under, "dim")

    def heading(self, number, count, text):
        self.line()
        mark = f" {number}/{count} "
        rule = "─" * max(2, self.width - len(mark) - len(text) - 5)
        self.line(f"──{self.paint(mark, 'blue')}{self.paint(text, 'strong')} "
                  f"{self.paint(rule, 'dim')}")

    def say(self, text):
        for line in wrap(text, self.width - 3):
            self.line("   " + line, "dim")

    def command(self, text, first=True):
        self.line(self.paint("   $ " if first else "     ", "dim") + text)

    def tick(self, holds, text, detail=""):
        mark = self.paint("✓", "good") if holds else self.paint("✗", "bad")
        for n, line in enumerate(wrap(text, self.width - 5)):
            self.line(f" {mark if n == 0 else ' '} " + (line if holds else self.paint(line, "bad")))
        if detail:
            for part in detail.splitlines():
                for line in wrap(part, self.width - 5):
                    self.line("   " + line, "dim")

    def table(self, header, rows, right=()):
        rows = [[str(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *rows)]

        def text(row):
            return "  ".join(
                cell.rjust(width) if n in right else cell.ljust(width)
                for n, (cell, width) in enumerate(zip(row, widths))).rstrip()

        self.line("   " + self.paint(text(header), "dim"))
        for row in rows:
            self.line("   " + text(row))

    def pause(self):
        """Between steps: time to read, or with --step until Enter."""
        if self.stops:
            self._write(self.paint("   Enter goes on …", "dim"))
            sys.stdin.readline()
        elif self.rests:
            time.sleep(1.2)

    def waiting(self, text):
        """A line that turns while something is awaited, and is gone afterwards."""
        return _Waiting(self, text)

    def map(self, boxes, links):
        """Three boxes in a triangle's row: `boxes` are (title, lines, tint); `links` are
        (words, is_up) between 1-2, 2-3 and 1-3."""
        inner = max(len(line) for title, lines, _ in boxes for line in (title, *lines)) + 2
        gap = max(len(links[0][0]), len(links[1][0])) + 4
        rows = max(len(lines) for _, lines, _ in boxes) + 1

        def box(n, row):
            title, lines, tint = boxes[n]
            if row == 0:
                return self.paint("╭" + "─" * inner + "╮", tint)
            if row == rows + 1:
                # The outer link of the first and the last hangs below them.
                edge = "─" * inner
                if n != 1:
                    middle = inner // 2
                    edge = edge[:middle] + "┬" + edge[middle + 1:]
                return self.paint("╰" + edge + "╯", tint)
            text = title if row == 1 else ([*lines, *[""] * rows][row - 2])
            padded = (" " + text).ljust(inner)
            body = self.paint(padded, "strong") if row == 1 else padded
            return self.paint("│", tint) + body + self.paint("│", tint)

        def wire(words, is_up, length):
            fill = "─" if is_up else "╌"
            text = f" {words} ".center(length, fill)
            return self.paint(text, "good" if is_up else "bad")

        self.line()
        for row in range(rows + 2):
            middle = row == (rows + 1) // 2 + 1
            between = [wire(*links[n], gap) if middle else " " * gap for n in (0, 1)]
            self.line(" " + box(0, row) + between[0] + box(1, row) + between[1] + box(2, row))
        # From the middle of the first box to the middle of the last.
        length = 2 * (inner + 2 + gap) - 1
        words, is_up = links[2]
        fill = "─" if is_up else "╌"
        text = "╰" + f" {words} ".center(length, fill) + "╯"
        self.line(" " * (1 + 1 + inner // 2) + self.paint(text, "good" if is_up else "bad"))
        self.line()


class _Waiting:
    def __init__(self, screen, text):
        self.screen, self.text = screen, text

    def __enter__(self):
        if self.screen.is_live and not self.screen.is_quiet:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._turn, daemon=True)
            self._thread.start()
        return self

    def update(self, text):
        self.text = text

    def _turn(self):
        started, frame = time.monotonic(), 0
        while not self._stop.wait(0.1):
            spent = time.monotonic() - started
            with self.screen._lock:
                self.screen._write(f"\r\033[K {self.screen.paint(FRAMES[frame % 10], 'blue')} "
                                   f"{self.text} {self.screen.paint(f'{spent:.0f} s', 'dim')}")
            frame += 1

    def __exit__(self, *_):
        if self.screen.is_live and not self.screen.is_quiet:
            self._stop.set()
            self._thread.join()
            with self.screen._lock:
                self.screen._write("\r\033[K")


def wrap(text, width):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def amount(count):
    """1,536 bytes as 1.5 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
