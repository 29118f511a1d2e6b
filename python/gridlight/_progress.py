"""Progress of a training: a bar on a terminal, a line in a notebook."""

import html
import json
import sys
import time
from typing import Any

WIDTH = 32


def shown() -> "Progress":
    """The display that suits where the program runs."""
    if _in_notebook():
        return Notebook()
    return Terminal() if sys.stderr is not None and sys.stderr.isatty() else Lines()


def _in_notebook() -> bool:
    """Whether a page shows what is displayed, and not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class Progress:
    """What is known of a training that runs. The part in Rust calls :meth:`tick`, :meth:`event` and :meth:`note`."""

    def __init__(self) -> None:
        self.started: tuple[float, int] | None = None
        self.validation = ""

    def tick(self, step: int, steps: int, epoch: int, loss: float) -> None:
        """Some steps have completed."""
        now = time.monotonic()
        if self.started is None:
            self.started = (now, step)
        seconds, first = now - self.started[0], self.started[1]
        rate = (step - first) / seconds if seconds > 0 else 0.0
        left = f"  {_duration((steps - step) / rate)} left" if rate > 0 else ""
        text = f"{step}/{steps} steps  loss {loss:.4g}{self.validation}{left}"
        self.show(step / max(steps, 1), f"epoch {epoch}", text)

    def event(self, text: str) -> None:
        """An event of ``gridlight train --json`` occurred."""
        event = json.loads(text)
        if event["event"] == "epoch":
            loss = event["validation"].get("loss")
            if isinstance(loss, (int, float)):
                self.validation = f"  validation {loss:.4g}"
        elif event["event"] == "end":
            best = "  ".join(f"{name} {_number(value)}" for name, value in event["best"].items())
            self.end(f"best epoch {event['best_epoch']}: {best}")

    def note(self, text: str) -> None:
        """Something that is to be known."""
        print(text, file=sys.stderr)

    def show(self, part: float, epoch: str, text: str) -> None:
        """Shows how far the training is."""

    def end(self, text: str) -> None:
        """Shows how the training ended."""

    def close(self) -> None:
        """Leaves the place for what follows."""


class Lines(Progress):
    """Where nobody sees a bar grow: notes, and how it ended."""

    def end(self, text: str) -> None:
        print(text, file=sys.stderr)


class Terminal(Progress):
    """A bar in the last line of a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = False

    def show(self, part: float, epoch: str, text: str) -> None:
        full = int(part * WIDTH)
        print(f"\r\x1b[2K{epoch} {'█' * full}{'░' * (WIDTH - full)} {text}", end="", file=sys.stderr, flush=True)
        self.drawn = True

    def note(self, text: str) -> None:
        self.close()
        super().note(text)

    def end(self, text: str) -> None:
        self.close()
        print(text, file=sys.stderr)

    def close(self) -> None:
        if self.drawn:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
            self.drawn = False


class Notebook(Progress):
    """A line of a notebook that changes."""

    def __init__(self) -> None:
        super().__init__()
        self.handle: Any = None
        self.notes: list[str] = []
        self.line = ""

    def show(self, part: float, epoch: str, text: str) -> None:
        bar = f'<progress value="{part:.4f}" max="1" style="width: 16em; vertical-align: middle"></progress>'
        self._draw(f"{html.escape(epoch)} {bar} {html.escape(text)}")

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._draw(self.line)

    def end(self, text: str) -> None:
        self._draw(html.escape(text))

    def _draw(self, line: str) -> None:
        from IPython.display import HTML, display

        self.line = line
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        shown = HTML(f'<div style="font-family: monospace; white-space: pre-wrap">{notes}{line}</div>')
        if self.handle is None:
            self.handle = display(shown, display_id=True)
        else:
            self.handle.update(shown)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
