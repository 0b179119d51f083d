"""``bamdmux doctor``: what works on this machine, and what mends what does not."""

import json
from dataclasses import asdict

import click


@click.command("doctor", short_help="What works on this machine, what mends the rest.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(as_json: bool) -> int:
    """Try what bamdmux needs, and say what mends what does not work.

    Exit code 0 if `bamdmux run` can work here, 1 if not.
    """
    from bamdmux.live.requirements import examine

    findings = examine()
    works = all(finding.works for finding in findings if finding.is_needed)
    if as_json:
        click.echo(
            json.dumps({"works": works, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
        return 0 if works else 1
    for finding in findings:
        mark = "ok     " if finding.works else "MISSING" if finding.is_needed else "-      "
        remedy = f": {finding.remedy}" if finding.remedy else ""
        click.echo(f"{mark} {finding.name}{remedy}")
    click.echo("bamdmux run works here" if works else "bamdmux run cannot work here yet")
    return 0 if works else 1
