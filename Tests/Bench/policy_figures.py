"""What is measured of policies, at which sizes, and what the numbers of several rounds say."""

from figures import Figure, Results, Spread
from policy_world import Size

OPEN = Size("no policies", 0, 10)
SMALLEST = Size("10 policies", 10, 10)
FULL = [OPEN, SMALLEST, Size("1,000", 1_000, 10), Size("100,000", 100_000, 10),
        Size("1,000; 10,000 endpoints", 1_000, 10_000),
        Size("100,000; 10,000 endpoints", 100_000, 10_000)]
QUICK = [SMALLEST, Size("1,000; 1,000 endpoints", 1_000, 1_000)]

FIGURES = [
    Figure("flow", "One conversation, UDP of 64 bytes without loss", "kpps", 1e-3, True, "flow"),
    Figure("flow_flood", "One conversation, received in a flood", "kpps", 1e-3, True, "flow"),
    Figure("new", "Conversations begun, UDP of 64 bytes without loss", "thousand/s", 1e-3, True,
           "new"),
    Figure("new_flood", "Conversations begun, received in a flood", "thousand/s", 1e-3, True,
           "new"),
    Figure("here", "`slice apply` until in force at this gateway", "s", 1, False, "apply"),
    Figure("there", "`slice apply` until in force at the other gateway", "s", 1, False, "apply"),
    Figure("rest", "Resident memory of a daemon", "MiB", 2**-20, False, "memory"),
    Figure("peak", "Resident memory of a daemon, peak", "MiB", 2**-20, False, "memory"),
    Figure("kernel", "Kernel memory of one router's table", "MiB", 2**-20, False, "memory"),
]
# In this order, each at all sizes before the next.
STEPS = {"flow": "flow", "new": "new", "apply": "apply", "memory": "memory"}
GROUPS = list(STEPS)


class PolicyResults(Results):
    """rounds[n][name of a size][key]."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def add(self, name, values):
        self.rounds[-1].setdefault(name, {}).update(values)

    def ratio(self, figure, size):
        """To the smallest with policies: within each round, so that a machine that drifts moves
        both."""
        ratios = []
        for one in self.rounds:
            mine, base = (one.get(name, {}).get(figure.key) for name in (size.name, SMALLEST.name))
            if mine is not None and base:
                ratios.append(mine / base)
        return Spread.of(ratios)

    def measured(self):
        return [figure for figure in FIGURES
                if any(self.spread(size.name, figure.key) for size in self.sizes)]
