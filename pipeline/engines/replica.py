"""One engine process as its parent sees it: what it was given, what that costs, how long it may be silent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from pipeline.batching import Halt
from pipeline.data import Completion, Prompt
from pipeline.engines.batched import HOLDERS
from pipeline.engines.serving import Ask, GivenBack
from pipeline.engines.spec import EngineSpec
from pipeline.supervise import Supervised

GLANCE = 0.2  # seconds that a message which has begun to arrive may take
LOADING = 600.0  # seconds that loading the weights and the first call may take at least
UNKNOWN = 3e-10  # seconds a token and a byte of the model, before its speed is known: four times one thread's (LOG.md)
PATIENCE = 30.0  # times the expected duration of a full call after which a silent child counts as hung
LEAST_PATIENCE = 60.0  # seconds
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


class Replica:
    """A child process with its share of the work. Changed by ChildEngine alone."""

    def __init__(self, spec: EngineSpec, target: Callable[..., None]) -> None:
        self.child = Supervised(target, spec, name="engine", environment=PASSIVE if spec.passive else {})
        self.prompts: dict[str, Prompt] = {}
        self.given_back: list[Prompt] = []
        self.asked = False  # to give back, since it was sent a prompt
        self.retired = False
        self._max_batch = spec.shape.sizes.max_batch
        size = spec.model.stat().st_size if spec.model and spec.model.is_file() else 0
        self._unknown = UNKNOWN * self._max_batch * size
        self._costs: dict[str, float] = {}
        self._shared: OrderedDict[tuple[str, ...], None] = OrderedDict()  # stretches that it has decoded lately
        self._halt = Halt.NO
        self._built = False  # heard of since its process was started
        self._seconds, self._rows = 0.0, 0
        self._calls = self._calls_before = 0

    @property
    def calls(self) -> int:
        """Decode calls, those of lost processes as far as they were heard of."""
        return self._calls_before + self._calls

    @property
    def load(self) -> float:
        """Expected tokens that it has not answered."""
        return sum(self._costs.values())

    @property
    def patience(self) -> float:
        """Seconds that it may be silent."""
        if not (self._built and self._rows):
            return max(LOADING, self._unknown)
        return max(LEAST_PATIENCE, PATIENCE * self._max_batch * self._seconds / self._rows)

    def cost(self, prompt: Prompt, answer: float) -> float:
        """Tokens to be expected here: its own, its answer's, and the shared ones where they are not there yet."""
        own = sum(len(segment.tokens) for segment in prompt.segments if not segment.shared)
        key = _shared(prompt)
        return own + answer + (0 if not key or key in self._shared else prompt.length - own)

    def start(self) -> None:
        """Begin; what an earlier run left is forgotten."""
        self.prompts.clear()
        self._costs.clear()
        self.given_back.clear()
        self._halt = Halt.NO  # a halted child goes on by itself
        if not self.child.alive:
            self.child.stop()
            self.child.start()
            self._built = self.retired = False
            self._shared.clear()

    def send(self, prompt: Prompt, answer: float) -> None:
        """One more prompt."""
        self._costs[prompt.work_key] = self.cost(prompt, answer)
        self.prompts[prompt.work_key] = prompt
        if key := _shared(prompt):
            self._shared[key] = None
            self._shared.move_to_end(key)
            if len(self._shared) > HOLDERS:
                self._shared.popitem(last=False)
        self.asked = False
        self.child.send(prompt)

    def ask_back(self) -> None:
        """Ask for what it has not begun."""
        self.asked = True
        self.child.send(Ask.GIVE_BACK)

    def halt(self, halt: Halt) -> None:
        """Tell it to stop, once."""
        if halt is not self._halt:
            self._halt = halt
            self.child.send(halt)

    def waited(self, seconds: float) -> None:
        """So long it was waited for, which tells its speed."""
        self._seconds += seconds

    def completions(self) -> Iterator[Completion]:
        """What has arrived. Raises ChildDied and ChildHung, and the child's own errors."""
        while self.prompts and self.child.poll():
            message = self.child.recv(timeout=GLANCE)
            self._built = True
            if isinstance(message, GivenBack):
                self.given_back.extend(self._take(key) for key in message.keys if key in self.prompts)
                continue
            completion, self._calls = message
            if completion is None:
                if self._halt is not Halt.NO:  # what it had not begun is left
                    self.prompts.clear()
                    self._costs.clear()
            elif completion.work_key in self.prompts:
                self._take(completion.work_key)
                counts = completion.counts
                self._rows += counts.prefilled + counts.forced + counts.sampled
                yield completion
        if self.prompts and self.child.silent_for > self.patience:
            self.child.kill()
            raise self.child.hung(self.patience)

    def lost(self) -> list[Prompt]:
        """The process is gone; what was in flight."""
        lost = [*self.prompts.values()]
        self.prompts.clear()
        self._costs.clear()
        self._shared.clear()
        self._halt, self._built = Halt.NO, False
        self._calls_before, self._calls = self.calls, 0
        return lost

    def _take(self, key: str) -> Prompt:
        del self._costs[key]
        return self.prompts.pop(key)


def _shared(prompt: Prompt) -> tuple[str, ...]:
    return tuple(segment.hash for segment in prompt.segments if segment.shared)
