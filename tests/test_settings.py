"""Where a setting comes from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_monitor import cli, sources
from stream_monitor.errors import UsageError
from stream_monitor.settings import Settings


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes stream-monitor.toml into a folder, the current one if none is named; nothing else is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(sources.CONFIG, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))

    def to(text, folder="."):
        path = tmp_path / folder / sources.FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


class TestWhichWins:
    def test_flags_over_the_environment_over_the_file_over_the_default(self, write, monkeypatch):
        write('broker = "file:1"\nprefix = "file"\ngrace = 3\nkinds = ["ml"]')
        monkeypatch.setenv("STREAM_MONITOR_BROKER", "environment:1")
        monkeypatch.setenv("STREAM_MONITOR_PREFIX", "environment")
        settings = Settings.load(broker="flag:1", prefix=None)
        assert (settings.broker, settings.prefix, settings.grace) == ("flag:1", "environment", 3.0)
        assert (settings.kinds, settings.lateness) == (("ml",), 3600.0)

    def test_the_file_here_over_that_of_the_user(self, write):
        write('prefix = "user"', "xdg/stream-monitor")
        assert Settings.load().prefix == "user"
        write('prefix = "here"')
        assert Settings.load().prefix == "here"

    def test_a_named_file_wins_and_only_one_is_read(self, write, monkeypatch, tmp_path):
        write('prefix = "here"\ngrace = 3')
        monkeypatch.setenv(sources.CONFIG, str(write('prefix = "named"', "a")))
        assert (Settings.load().prefix, Settings.load().grace) == ("named", 10.0)
        flag = write('prefix = "flag"', "b")
        assert (Settings.load(config=flag).prefix, Settings.load(config=flag).file) == ("flag", flag)
        monkeypatch.setenv(sources.CONFIG, "")
        assert (Settings.load().prefix, Settings.load().file) == ("pipeline", None)

    def test_settings_as_such_read_nothing(self, write, monkeypatch):
        write('prefix = "here"')
        monkeypatch.setenv("STREAM_MONITOR_PREFIX", "environment")
        assert Settings().prefix == "pipeline"

    def test_a_relative_path_starts_at_the_file(self, write, tmp_path):
        settings = Settings.load(config=write('datadir = "d"\nssl_ca = "/ca.pem"\nlog_dir = "~/logs"', "a"))
        assert settings.datadir == tmp_path / "a" / "d"
        assert (str(settings.ssl_ca), str(settings.log_dir)) == ("/ca.pem", str(Path.home() / "logs"))


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ('sasl_user_name = "x"', "no setting is called 'sasl_user_name'; did you mean sasl_username?"),
            ('sasl-username = "x"', "did you mean sasl_username?"),
            ('Broker = "x:1"', "did you mean broker?"),
            ("[kafka]\nbroker = 1", "no setting is called 'kafka'"),
            ("broker = ", "it is no TOML: Invalid value (at end of document)"),
            ("grace = -1", "setting grace (grace in stream-monitor.toml)"),
            ('kinds = ["nosuch"]', "setting kinds (kinds in stream-monitor.toml)"),
            ('datadir = ""', "it is empty; give a folder"),
        ],
    )
    def test_in_the_file_is_one_line_that_names_it(self, text, part, write, capsys):
        write(text)
        assert cli.run(["topics", "plan"]) == 2
        error = capsys.readouterr().err
        assert part in error
        assert error.count("\n") == 1
        assert "stream-monitor.toml" in error

    def test_a_named_file_must_be_there(self, write, monkeypatch, capsys):
        assert cli.run(["topics", "plan", "--config", "nowhere.toml"]) == 2
        assert "settings file nowhere.toml (--config): No such file or directory" in capsys.readouterr().err
        monkeypatch.setenv(sources.CONFIG, ".")
        assert cli.run(["alerts", "check"]) == 2
        assert "(STREAM_MONITOR_CONFIG): Is a directory" in capsys.readouterr().err

    def test_a_file_that_is_no_text(self, write, tmp_path):
        path = write("")
        path.write_bytes(b'broker = "\xff"')
        with pytest.raises(UsageError, match="it is no TOML: not UTF-8"):
            Settings.load()


class TestUnknownVariables:
    def test_are_named_once_each_with_the_right_name(self, write, monkeypatch, capsys):
        monkeypatch.setenv("STREAM_MONITOR_BROKERS", "x:1")
        monkeypatch.setenv("STREAM_MONITOR_QQQQ", "x")
        assert cli.run(["alerts", "check"]) == 0
        first, second = capsys.readouterr().err.splitlines()
        assert first == (
            "stream-monitor: warning: STREAM_MONITOR_BROKERS is no setting, and nothing reads it; "
            "did you mean STREAM_MONITOR_BROKER?"
        )
        assert second.endswith("STREAM_MONITOR_QQQQ is no setting, and nothing reads it")

    def test_what_kubernetes_and_the_tests_set_is_nobodys_mistake(self):
        innocent = (
            "SERVICE_HOST SERVICE_PORT SERVICE_PORT_HTTP PORT PORT_6066_TCP PORT_6066_TCP_PROTO "
            "WORKER_SERVICE_HOST WORKER_PORT_6066_TCP_ADDR TEST_BROKER REQUIRE_KAFKA CONFIG GRACE"
        )
        names = {f"STREAM_MONITOR_{name}": "x" for name in innocent.split()}
        assert sources.strangers(Settings.model_fields, {**names, "OTHER": "x"}) == []
        assert len(sources.strangers(Settings.model_fields, {"STREAM_MONITOR_PORTS": "x"})) == 1


class TestSecrets:
    def test_by_file_without_its_newline(self, write, tmp_path, monkeypatch):
        (tmp_path / "password").write_text("hunter2\n")
        write('sasl_password_file = "password"\nnotify_urls_file = "password"')
        settings = Settings.load()
        assert settings.sasl_password.get_secret_value() == "hunter2"
        assert settings.notify_urls.get_secret_value() == "hunter2"
        assert "hunter2" not in repr(settings)
        assert "hunter2" not in settings.model_dump_json()

    def test_the_stronger_source_wins_whichever_way_it_says_it(self, write, tmp_path, monkeypatch):
        (tmp_path / "password").write_text("from a file")
        write('sasl_password_file = "password"')
        monkeypatch.setenv("STREAM_MONITOR_SASL_PASSWORD", "from the environment")
        assert Settings.load().sasl_password.get_secret_value() == "from the environment"
        write('sasl_password = "plain"')
        monkeypatch.delenv("STREAM_MONITOR_SASL_PASSWORD")
        monkeypatch.setenv("STREAM_MONITOR_SASL_PASSWORD_FILE", "password")
        assert Settings.load().sasl_password.get_secret_value() == "from a file"

    def test_twice_in_one_place_is_an_error(self, write):
        write('sasl_password = "hunter2"\nsasl_password_file = "password"')
        with pytest.raises(UsageError, match="are both set; keep one of them") as wrong:
            Settings.load()
        assert "hunter2" not in str(wrong.value)

    @pytest.mark.parametrize("content", [None, "", "\n", b"\xff"])
    def test_a_file_without_one_is_one_line_without_its_name(self, content, write, tmp_path):
        if content is not None:
            (tmp_path / "hunter2").write_bytes(content if isinstance(content, bytes) else content.encode())
        write('ssl_key_password_file = "hunter2"')
        with pytest.raises(UsageError, match="STREAM_MONITOR_SSL_KEY_PASSWORD_FILE") as wrong:
            Settings.load()
        assert "hunter2" not in str(wrong.value)

    def test_a_wrong_type_is_not_shown(self, write):
        write('sasl_password = ["hunter2"]')
        with pytest.raises(UsageError, match="sasl_password in stream-monitor") as wrong:
            Settings.load()
        assert "hunter2" not in str(wrong.value)
