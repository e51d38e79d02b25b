"""The demonstration, at its smallest, on the shipped model."""

import pytest

from nextkit.demo import main


def test_the_demonstration_prints_every_model_and_control_and_writes_its_report(tmp_path, capsys):
    main(["--fast", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    surer = ("base, temperature 0.2", "best, temperature 0.2")
    for name in ("blind edit", "base", "round 1", *surer, "best, trace removed", "tuned on random samples"):
        assert f"\n{name} " in printed
    assert "Measured on 4 tasks of the untold set, seed 0" in printed
    assert "the best round was chosen on 4 tasks of the untold-dev set" in printed
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png" in page and "http" not in page and (tmp_path / "rounds.png").exists()


def test_tasks_that_leave_none_to_choose_the_round_on_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--fast", "--out", str(tmp_path), "--split", "dev", "--tasks", "100"])
    assert "--tasks 100: give at least 1, and leave a development task" in capsys.readouterr().err


def test_each_set_of_tasks_has_a_run_folder_of_its_own(monkeypatch, tmp_path):
    folders = []
    monkeypatch.chdir(tmp_path)

    def stop(settings, run, *tasks):
        folders.append(run.folder.as_posix())
        raise KeyboardInterrupt

    monkeypatch.setattr("nextkit.demo.demonstrate", stop)
    for options in (["--fast"], ["--fast", "--split", "dev"]):
        with pytest.raises(SystemExit):
            main(options)
    assert folders == ["runs/demo-fast", "runs/demo-dev-fast"]
