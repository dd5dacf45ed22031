"""Sessions of SQLAlchemy on SQLite, with a real server."""

import logging

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from bench.rig.ports import free_port
from cometify.client import Cometify, CometifyError, Push, outbox
from cometify.sqlalchemy import batch_after_commit, push_after_commit
from tests.integrations.guides import run_guide


class Base(DeclarativeBase):
    pass


class Entry(Base):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@pytest.fixture
def engine(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/guestbook.db")

    @sqlalchemy.event.listens_for(engine, "connect")
    def begin_by_hand(connection, _record):  # the driver would begin no transaction before a savepoint
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN")

    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def make_session(engine, client):
    return sessionmaker(engine, info={"cometify": client})


def rows(engine):
    with Session(engine) as session:
        return [entry.text for entry in session.scalars(sqlalchemy.select(Entry).order_by(Entry.id))]


def test_guide_pushes_after_its_commit(url, engine, heard, client, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # the guide's database is guestbook.db
    since = client.position()
    names = run_guide("sqlalchemy.md", url, {"Entry": Entry})
    first = heard("guestbook", since)[0]
    assert (first["data"], first["event"]) == ({"text": "Hello world!"}, "created")
    assert rows(engine) == ["Hello world!", "Hello again!"]
    with engine.connect() as connection:
        written = connection.exec_driver_sql("SELECT identifier, data, event, secret FROM cometify_outbox").all()
    assert written == [("guestbook", '{"text":"Hello again!"}', "created", 0)]
    names["cometify"].close()
    names["engine"].dispose()


def test_outbox_is_rolled_back_with_the_session(make_session, engine):
    with engine.begin() as connection:
        outbox.create_table(connection)
    with make_session() as session:
        outbox.add(session, "chat", "one")
        session.rollback()
        outbox.add(session, "chat", "two")
        with session.begin_nested() as savepoint:
            outbox.add(session, "chat", "three")
            savepoint.rollback()
        session.commit()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT text FROM cometify_outbox").all() == [("two",)]


def test_push_is_sent_after_the_commit_and_not_before(make_session, texts):
    with make_session() as session:
        session.add(Entry(text="one"))
        push_after_commit(session, "chat", "one")
        session.flush()
        assert texts() == []
        session.commit()
        assert texts() == ["one"]
        push_after_commit(session, "chat", "two")  # the session begins another transaction
        session.commit()
    assert texts() == ["one", "two"]


def test_push_before_the_first_statement_waits_too(make_session, texts):
    with make_session() as session:
        push_after_commit(session, "chat", "one")
        assert texts() == []
        session.add(Entry(text="one"))
        session.commit()
    assert texts() == ["one"]


def test_rollback_forgets_the_push(make_session, texts):
    with make_session() as session:
        session.add(Entry(text="one"))
        push_after_commit(session, "chat", "one")
        session.rollback()
        session.add(Entry(text="two"))
        push_after_commit(session, "chat", "two")
        session.commit()
    with make_session() as session:
        push_after_commit(session, "chat", "three")  # closed without a commit
    with pytest.raises(sqlalchemy.exc.OperationalError), make_session.begin() as session:  # noqa: PT012 - a whole transaction
        push_after_commit(session, "chat", "four")
        session.execute(sqlalchemy.text("SELECT wrong"))
    assert texts() == ["two"]


def test_savepoint_that_rolls_back_forgets_its_own_pushes(make_session, texts, engine):
    with make_session.begin() as session:
        push_after_commit(session, "chat", "outside")
        with session.begin_nested() as savepoint:
            session.add(Entry(text="inside"))
            push_after_commit(session, "chat", "inside")
            with session.begin_nested():
                push_after_commit(session, "chat", "deeper")
            savepoint.rollback()
        with session.begin_nested():
            session.add(Entry(text="released"))
            push_after_commit(session, "chat", "released")
        assert texts() == []
    assert texts() == ["outside", "released"]
    assert rows(engine) == ["released"]


def test_released_savepoint_is_forgotten_with_its_transaction(make_session, texts):
    with make_session() as session:
        with session.begin_nested():
            push_after_commit(session, "chat", "released")
        session.rollback()
    assert texts() == []


def test_commit_that_fails_pushes_nothing(make_session, texts, engine):
    with make_session() as session:
        session.add(Entry(id=1, text="one"))
        session.commit()
    with make_session() as session:
        session.add(Entry(id=1, text="two"))
        push_after_commit(session, "chat", "two")
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.commit()
    assert (rows(engine), texts()) == (["one"], [])


def test_push_is_sent_when_the_connection_is_in_its_pool(make_session, engine, client, monkeypatch):
    checked_out = []
    push = client.push
    monkeypatch.setattr(
        client, "push", lambda *given, **more: (checked_out.append(engine.pool.checkedout()), push(*given, **more))
    )
    with make_session.begin() as session:
        session.add(Entry(text="one"))
        push_after_commit(session, "chat", "one")
    assert checked_out == [0]


def test_wrong_push_rolls_the_transaction_back(make_session, engine):
    with pytest.raises(CometifyError, match="a text or data"), make_session.begin() as session:  # noqa: PT012
        session.add(Entry(text="one"))
        push_after_commit(session, "chat")
    assert rows(engine) == []


def test_failure_after_the_commit_is_logged(make_session, engine, caplog):
    away = Cometify.from_url(f"http://key:s3cret@127.0.0.1:{free_port()}", timeout=0.2)
    with caplog.at_level(logging.ERROR), make_session.begin() as session:
        session.add(Entry(text="one"))
        push_after_commit(session, "chat", "a text", client=away)
    assert rows(engine) == ["one"]
    assert "1 pushes after a commit failed (chat): unreachable" in caplog.text
    assert "s3cret" not in caplog.text
    assert "a text" not in caplog.text


def test_pushes_of_a_transaction_keep_their_order(make_session, texts):
    with make_session.begin() as session:
        for number in range(0, 150, 2):
            batch_after_commit(session, [Push("chat", str(number)), Push("chat", str(number + 1))])
    assert texts() == [str(number) for number in range(150)]


def test_data_is_pushed_as_it_was_when_it_was_added(make_session, client, heard):
    since = client.position()
    data = {"state": "paid"}
    with make_session.begin() as session:
        push_after_commit(session, "chat", data, secret=False, push_id=7, event="paid")
        data["state"] = "changed later"
    (push,) = heard("chat", since)
    assert (push["data"], push["push_id"], push["event"]) == ({"state": "paid"}, 7, "paid")


def test_scoped_session_and_the_environment_work(engine, url, texts, monkeypatch):
    monkeypatch.setenv("COMETIFY_URL", url)
    session = scoped_session(sessionmaker(engine))
    session.add(Entry(text="one"))
    push_after_commit(session, "chat", "one")
    session.commit()
    session.remove()
    assert texts() == ["one"]


def test_what_is_no_session_is_refused(engine):
    with engine.connect() as connection, pytest.raises(TypeError, match="AsyncSession"):
        push_after_commit(connection, "chat", "one")
