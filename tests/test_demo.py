"""The demonstration, at its smallest, on the shipped model."""

from nextkit.demo import main


def test_the_demonstration_prints_every_model_and_control_and_writes_its_report(tmp_path, capsys):
    main(["--fast", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    for name in ("blind edit", "base", "round 1", "best, trace removed", "tuned on random samples"):
        assert name in printed
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png" in page and "http" not in page and (tmp_path / "rounds.png").exists()
