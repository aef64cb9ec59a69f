"""`edgerig zoo`: recipes of detectors; trained, compressed, exported, and described."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from harness.commands import common
from harness.models import build_progress
from harness.models import card as card_of
from harness.models import zoo as building
from harness.models.build_progress import BuildProgress
from harness.models.zoo import Outcome, Row
from model_zoo.building import folder as variants_folder
from model_zoo.building import recipe as recipes
from model_zoo.building import words
from model_zoo.building.build import Asked, Builder
from model_zoo.building.check import Check
from model_zoo.building.folder import Stranger
from model_zoo.building.products import Products
from model_zoo.building.recipe import Recipe, Step

OUT = Path("zoo")
NAMED = 3  # variants in a sentence; --json has all
folder_option = click.option(
    "--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder of the variants."
)
recipes_option = click.option(
    "--recipes", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Own recipes, beside the shipped."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all that is drawn."
)
faces_option = click.option(
    "--faces", type=click.Path(path_type=Path), metavar="DIR", help="With splits.  [default: drawn by a program]"
)
pairs_option = click.option(
    "--pairs", type=click.IntRange(8), default=building.PAIRS, show_default=True, help="To draw, without --faces."
)


def _build_options(command: common.Command) -> common.Command:
    """Add what all commands take that build."""
    options: list[Callable[[Any], Any]] = [
        click.argument("words", nargs=-1, required=True, metavar="RECIPE…"),
        faces_option,
        click.option("--other-faces", type=click.Path(path_type=Path), metavar="DIR", help="To train on first."),
        recipes_option,
        seed_option,
        click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True),
        pairs_option,
        common.json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


class _InOrder(click.Group):
    """Lists its commands in the order of the work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


@click.group(cls=_InOrder)
def zoo() -> None:
    """Train and compress detectors by recipes, and export their variants with manifests.

    A recipe is a TOML file: a backbone, steps in order, formats. What is built is kept by content: a step that two
    recipes share is done once, and a build that was stopped goes on where it stood.

    \b
    edgerig zoo list                                what there is
    edgerig zoo build S3 --faces FACES/             a whole family, exported to zoo/
    edgerig run --variants zoo/ --faces FACES/      measured
    """


@zoo.command("list", short_help="List the recipes, and what of them is built.")
@click.argument("words", nargs=-1, metavar="[RECIPE]…")
@faces_option
@recipes_option
@seed_option
@pairs_option
@common.json_option
def list_(
    words: tuple[str, ...], faces: Path | None, recipes: tuple[Path, ...], seed: int, pairs: int, as_json: bool
) -> int:
    """List the recipes, or those of some families, and what of them is built with these faces and this seed."""
    known = building.shelf(recipes, words)
    source = faces or building.drawn(pairs)
    wanted = building.chosen(known, words) if words else list(known)
    rows = building.rows(known, source if faces or source.is_file() else None, seed)
    rows = [row for row in rows if row.recipe.name in wanted]
    if as_json:
        common.print_json([_json(row) for row in rows])
    else:
        _print(rows)
    return 0


@zoo.command(short_help="Train each RECIPE, up to the first step that compresses.")
@_build_options
def train(**options: Any) -> int:
    """Do the steps of each RECIPE up to the first that compresses. RECIPE is a name, a file, or a family, e.g. S3."""
    with _Work(options) as work:
        return work.done(lambda name: building.net(work.builder, name, building.trains), building.trains)


@zoo.command(short_help="Do all steps of each RECIPE, and export nothing.")
@_build_options
def compress(**options: Any) -> int:
    """Do all steps of each RECIPE that change its net; training that is missing is done first."""
    with _Work(options) as work:
        return work.done(lambda name: building.net(work.builder, name))


@zoo.command(short_help="Write the files of what is built.")
@_build_options
@folder_option
def export(out: Path, **options: Any) -> int:
    """Write the variants of each RECIPE that is built; nothing is trained. A file that disagrees is not written."""
    with _Work(options, out) as work:
        building.require_built(work.builder, work.names)
        return work.done(lambda name: building.exported(work.shop, name, out), out=out)


@zoo.command(short_help="Train, compress and export each RECIPE.")
@_build_options
@folder_option
def build(out: Path, **options: Any) -> int:
    """Train, compress and export each RECIPE. One that fails is told, and the others go on; exit code 3 then."""
    with _Work(options, out) as work:
        return work.done(lambda name: building.exported(work.shop, name, out), out=out)


@zoo.command(short_help="Print the model card of VARIANT, in Markdown.")
@click.argument("variant", metavar="VARIANT")
@recipes_option
@folder_option
@click.option("--run", "run_name", metavar="RUN", help="Add what a run measured, e.g. latest.")
@click.option("--runs", type=click.Path(path_type=Path), metavar="DIR", help="Folder of that run.  [default: runs]")
def card(variant: str, recipes: tuple[Path, ...], out: Path, run_name: str | None, runs: Path | None) -> int:
    """Print the model card of VARIANT, in Markdown: a shipped one's name, one of --out, a manifest or a model file."""
    from harness import state, workflow  # noqa: PLC0415 - only this command needs them
    from harness.findings import collect  # noqa: PLC0415

    found, run = card_of.find(variant, out), None
    if run_name:
        folder = workflow.find_run(common.runs_folder(common.workspace(None), runs), run_name)
        run = collect.collect(state.read(folder), folder)
    shelf = building.shelf(recipes)
    if lacking := card_of.lacking(found, shelf):
        click.echo(lacking, err=True)
    click.echo(card_of.text(found, shelf, run), nl=False)
    return 0


class _Work:
    """Recipes that are being built: what is wrong is told before anything begins, what was reached when it ends.

    Args:
        options: of the command line.
        out: folder of the variants, where any are written; it is made once the recipes are known to be good.
    """

    def __init__(self, options: dict[str, Any], out: Path | None = None) -> None:
        building.require_extra()
        self._options = options
        self._debug = bool(click.get_current_context().find_root().params.get("debug"))
        known = building.shelf(options["recipes"], options["words"])
        self.names = building.chosen(known, options["words"])
        for name in self.names:
            Check(known, other=bool(options["other_faces"])).recipe(name)  # before faces are drawn, which takes minutes
        building.require_device(options["device"])
        if out:
            building.require_writable(out)
        self._console = common.stderr()
        self._known = known
        self._progress: BuildProgress = build_progress.shown_on(self._console)
        self._store = building.store()

    def __enter__(self) -> _Work:
        self._progress.__enter__()
        try:
            self.builder = self._prepared()
        except BaseException:
            self._ended()
            raise
        self.shop = Products(self.builder, _command(self._options))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._console.print("Stopped. What is done is kept: the same command goes on from here.", highlight=False)

    def _ended(self) -> None:
        self._progress.__exit__(None, None, None)
        self._store.close()

    def _prepared(self) -> Builder:
        options = self._options
        faces = building.training_faces(self._source(), self._progress.told)
        if options["other_faces"]:
            building.claim_faces(self._store, options["other_faces"])
        other = options["other_faces"] and building.training_faces(options["other_faces"], self._progress.told)
        timer = building.timer(faces, options["seed"])
        asked = Asked(faces, other, options["seed"], options["device"], timer)
        return Builder(self._known, asked, self._store, self._progress)

    def _source(self) -> Path:
        given: Path | None = self._options["faces"]
        building.claim_faces(self._store, given or building.drawn(self._options["pairs"]))
        return given or building.draw(self._options["pairs"], self._progress)

    def done(
        self, act: Callable[[str], Outcome], only: Callable[[Step], bool] | None = None, out: Path | None = None
    ) -> int:
        """Do something for each recipe, tell what became of it, and return the exit code."""
        todo = self.builder.todo(self.names, only)
        if todo or (out and any(map(self.shop.missing, self.names))):
            self._look()
        self._progress.expect(len(todo))
        beside = self._beside(out) if out else []
        outcomes = [self._told(built, out) for built in building.each(self.names, act, self._debug)]
        self._progress.__exit__(None, None, None)
        if self._options["as_json"]:
            rows = [asdict(entry) for entry in outcomes]
            common.print_json({"folder": str(out) if out else None, "beside": beside, "recipes": rows})
        elif out and any(outcome.variants for outcome in outcomes):
            faces = f" --faces {common.shown(self._options['faces'])}" if self._options["faces"] else ""
            click.echo(f"Next: edgerig run --variants {common.shown(out)}{faces}")
        return 3 if any(outcome.error for outcome in outcomes) else 0

    def _told(self, built: Outcome, out: Path | None) -> Outcome:
        """Tell what became of a recipe, and move away what earlier builds of it left in the folder."""
        moved = variants_folder.set_aside(out, built.recipe, built.variants) if out else []
        outcome = replace(built, set_aside=tuple(moved))
        self._progress.told(_sentence(outcome))
        if out and moved:
            self._progress.told(_moved(outcome, out / variants_folder.EARLIER))
        return outcome

    def _look(self) -> None:
        """Look at all pictures once: one that is broken would end a training, maybe hours later."""
        asked = self.builder.asked
        for faces in filter(None, (asked.faces, asked.other)):
            self._progress.step("looking at the pictures", len(faces.train.faces) + len(faces.val.faces))
            faces.require_pictures(self._progress.advance)

    def _beside(self, out: Path) -> list[dict[str, Any]]:
        """Tell of variants in the folder that come of other faces or another seed, and return them for --json."""
        own = {variant for name in self.names for variant in self._known[name].variants}
        found = variants_folder.strangers(out, self.builder.asked, own)
        if found:
            self._progress.told(_strange(found, out))
        return [asdict(stranger) for stranger in found]


def _strange(found: Sequence[Stranger], out: Path) -> str:
    named = [f"{one.variant} ({one.data}, seed {one.seed})" for one in found[:NAMED]]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return (
        f"Note: {common.shown(out)}/ also holds {', '.join([*named, *more])}, built with other faces or another seed "
        "than these: --out DIR keeps them apart"
    )


def _moved(outcome: Outcome, where: Path) -> str:
    many = len(outcome.set_aside) > 1
    return (
        f"{outcome.recipe}: {', '.join(outcome.set_aside)} of an earlier build {'were' if many else 'was'} moved to "
        f"{common.shown(where)}/, as {'they were' if many else 'it was'} not built now"
    )


def _sentence(outcome: Outcome) -> str:
    if outcome.error:
        return f"{outcome.recipe}: failed: {outcome.error}" + (f" {outcome.hint}" if outcome.hint else "")
    what = ", ".join(outcome.variants) or "built"
    return f"{outcome.recipe}: {what}" + (f" ({outcome.found})" if outcome.found else "")


def _command(options: dict[str, Any]) -> str:
    """Return the command that builds the same, without a place of this machine."""
    parts = ["edgerig zoo build {}"]
    own = options["recipes"] or any(word.endswith(recipes.SUFFIX) for word in options["words"])
    parts += ["--recipes DIR"] if own else []
    parts += ["--faces DIR"] if options["faces"] else [f"--pairs {options['pairs']}"]
    parts += ["--other-faces DIR"] if options["other_faces"] else []
    return " ".join([*parts, f"--seed {options['seed']}"])


def _json(row: Row) -> dict[str, Any]:
    recipe = row.recipe
    return {
        "recipe": recipe.name,
        "family": recipe.family,
        "backbone": row.backbone,
        "from": recipe.origin,
        "teachers": list(recipe.teachers),
        "steps": [words.step(step) for step in recipe.steps],
        "exports": list(recipe.exports),
        "variants": list(recipe.variants),
        "built": row.standing,
        "note": recipe.note,
    }


def _print(rows: Sequence[Row]) -> None:
    """Print two lines or more a recipe: names of 40 letters leave a table no room, and must not be broken."""
    width = min(shutil.get_terminal_size((100, 0)).columns, 120)
    before: str | None = None
    for row in rows:
        recipe: Recipe = row.recipe
        if recipe.family != before:
            click.echo(("" if before is None else "\n") + click.style(recipe.family or "Without a family", bold=True))
            before = recipe.family
        click.echo("  " + recipe.name + (f"   ({row.standing})" if row.standing else ""))
        start = "" if recipe.origin else f"{row.backbone}: "
        what = f"{start}{words.of(recipe)} -> {' '.join(recipe.exports)}"
        indent = " " * 6
        click.echo(textwrap.fill(what, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))
