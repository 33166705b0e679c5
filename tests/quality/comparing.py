"""How runs of lines are best compared: `python -m tests.quality.comparing --model FILE --out DIR`.

Scores every run of lines of each receipt of the sroie set in full, once, and keeps the log-probability of each token in
`DIR/alternatives.pickle`. Then lets `Ranking` choose with several powers of the length and rows a round, and prints how
many companies and addresses are right by letters and digits, and how many rows that took. The company is chosen first
(power 0.5, 24 rows); the address shares no lines with it.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.batching import Row, ranking, sampler
from pipeline.batching.sequence import Sequence
from pipeline.data import Vocabulary
from pipeline.engines.llama import Llama
from pipeline.engines.naive import ANSWER, FORK, Naive
from pipeline.engines.sizes import Sizes
from pipeline.evaluation.matching import is_right
from pipeline.grammars import MOST_ROWS, Candidates
from pipeline.grammars.llguidance import Engine
from pipeline.grammars.terminals import Alternatives
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder, load_task
from tests.quality.sets import Set, load, read

Tokens = tuple[int, ...]
Runs = dict[Tokens, float]  # the beginning of a run -> the log-probability of its last token
ROWS = (8, 16, 24, 32, 48)
POWERS = (0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality.comparing", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = given.out / "alternatives.pickle"
    kept = pickle.loads(file.read_bytes()) if file.is_file() else {}
    one, tokenizer = load("sroie"), Tokenizer.load(given.model)
    wanted = [gold.id for gold in one.gold[: given.documents]]
    for name, fields in score(
        one, [name for name in wanted if name not in kept], given.model, tokenizer, given.threads
    ):
        kept[name] = fields
        file.write_bytes(pickle.dumps(kept))
        print(f"{name}: {[len(paths) for paths, _ in fields]} runs", file=sys.stderr, flush=True)
    print("\n".join(table(one, {name: kept[name] for name in wanted}, tokenizer.vocabulary)))


class Whole(Naive):
    """Scores all of every run of lines."""

    met: list[tuple[tuple[Tokens, ...], Runs]]

    def _rank(self, answer: Sequence, candidates: Candidates, row: int) -> None:
        if candidates.rows == MOST_ROWS:
            super()._rank(answer, candidates, row)
            return
        runs: Runs = {}
        first = ranking.first_logprobs(candidates, self._backend.logits(row))
        stems = sorted(path[:-1] for path in candidates.alternatives)
        for stem, following in zip(stems, [*stems[1:], ()], strict=True):
            if not stem or following[: len(stem)] == stem:
                continue
            self._backend.copy(ANSWER, FORK)
            self._backend.decode([Row(t, answer.length + i, (FORK,), logits=True) for i, t in enumerate(stem)])
            for path in candidates.alternatives:
                for end in range(1, min(len(path) - 1, len(stem)) + 1):
                    if path[:end] == stem[:end] and path[: end + 1] not in runs:
                        logits = self._backend.logits(end - 1)
                        runs[path[: end + 1]] = float(logits[path[end]]) - sampler.log_normaliser(logits)
            self._backend.drop(FORK)
        runs |= {(token,): logprob for token, logprob in first.items()}
        self.met.append((candidates.alternatives, runs))
        winner, _ = choose(candidates.alternatives, runs, candidates.length_power, candidates.rows)
        for token in winner[: answer.room]:
            answer.append(sampler.Choice(token, 0.0, 0.0, math.inf))


def score(one: Set, names: list[str], model: Path, tokenizer: Tokenizer, threads: int) -> Iterator[tuple[str, object]]:
    """For both fields the runs of lines, and what they are made of."""
    if not names:
        return
    builder = PromptBuilder(load_task(str(one.write("typed", Path(tempfile.mkdtemp())))), tokenizer)
    Alternatives.besides = lambda self, said: self  # type: ignore[method-assign]  # the table leaves them out
    engine = Whole(Llama(model, Sizes(8192, 2, 2048, 512, 512, threads)), Engine(tokenizer.vocabulary).compile)
    gold = {each.id: each for each in one.gold}
    for name in names:
        engine.met = []
        list(engine.run([builder.prompt(read(one.path(gold[name])).text, name)]))
        yield name, engine.met
    engine.close()


def choose(alternatives: tuple[Tokens, ...], runs: Runs, power: float, rows: int) -> tuple[Tokens, int]:
    """What `Ranking` chooses, and the rows that it looks at."""
    size = max(max(path) for path in alternatives) + 2
    children: dict[Tokens, list[Tokens]] = {}
    for path in runs:
        children.setdefault(path[:-1], []).append(path)

    def logits(node: Tokens) -> np.ndarray:
        row = np.full(size, -np.inf, np.float32)
        for path in children.get(node, ()):
            row[path[-1]] = runs[path]
        row[-1] = math.log(max(1.0 - float(np.exp(row).sum()), 1e-9))  # all other tokens
        return row

    candidates = ranking.short_enough(Candidates(alternatives, length_power=power, rows=rows))
    choice = ranking.Ranking(candidates, {path[0]: runs[path] for path in runs if len(path) == 1})
    seen: set[Tokens] = set()
    while not choice.done:
        nodes = {leaf[:end] for leaf in choice.next_round() for end in range(1, len(leaf) + 1)}
        seen |= nodes
        choice.take({node: logits(node) for node in nodes})
    return choice.best, len(seen)


def table(one: Set, kept: dict[str, list[tuple[tuple[Tokens, ...], Runs]]], vocabulary: Vocabulary) -> list[str]:
    """Markdown: for each power and number of rows what comes out."""

    def said(path: Tokens) -> str:
        return str(json.loads(vocabulary.decode(path).decode(errors="replace")))

    asked = [gold for gold in one.gold if len(kept.get(gold.id, ())) == 2]
    lines = [
        f"{len(asked)} receipts",
        "",
        "| power | rows a round | company | rows | address | rows |",
        "|---" * 6 + "|",
    ]
    companies = {gold.id: said(choose(*kept[gold.id][0], 0.5, 24)[0]) for gold in asked}
    for power in POWERS:
        for rows in ROWS:
            right, spent = [0, 0], [0, 0]
            for gold in asked:
                company, address = kept[gold.id]
                used = companies[gold.id]
                free = tuple(path for path in address[0] if said(path) not in used and used not in said(path))
                for field, (paths, runs) in enumerate((company, (free or address[0], address[1]))):
                    winner, looked_at = choose(paths, runs, power, rows)
                    label = gold.fields.get(("company", "address")[field])
                    right[field] += label is not None and is_right(label, said(winner), "text")[1]
                    spent[field] += looked_at
            means = [round(total / len(asked)) for total in spent]
            lines.append(f"| {power} | {rows} | {right[0]} | {means[0]} | {right[1]} | {means[1]} |")
    return lines


if __name__ == "__main__":
    main()
