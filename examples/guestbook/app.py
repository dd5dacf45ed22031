"""A guestbook: visitors write entries, and moderators approve, edit and delete them. flask run --port 8000"""

import hmac
import os
import secrets
import sqlite3

from cometify.client import CometifyError, outbox
from cometify.flask import Cometify, Grant
from flask import Flask, abort, g, redirect, render_template, request, session

app = Flask(__name__)
app.config.update(SECRET_KEY=os.environ.get("SECRET_KEY", secrets.token_hex()), SESSION_COOKIE_SAMESITE="Lax")
cometify = Cometify(app)


def database():
    """The connection of this request."""
    if "database" not in g:
        g.database = sqlite3.connect("guestbook.db")
        g.database.row_factory = sqlite3.Row
    return g.database


@app.teardown_appcontext
def close(_error):
    if "database" in g:
        g.database.close()


with app.app_context(), database() as db:
    db.execute(
        "CREATE TABLE IF NOT EXISTS entries (id integer PRIMARY KEY AUTOINCREMENT, version integer NOT NULL DEFAULT 1,"
        " text text NOT NULL, approved integer NOT NULL DEFAULT 0, deleted integer NOT NULL DEFAULT 0)"
    )
    outbox.create_table(db)


def change(statement, **values):
    """Change an entry. The change and its pushes are committed together."""
    with database() as db:
        changed = db.execute(f"{statement} RETURNING *", values).fetchall()
        if not changed:
            abort(404)
        entry = dict(changed[0])
        outbox.add(db, "moderators", data=entry, secret=True)
        if entry["approved"]:
            outbox.add(db, "guestbook", data=entry)
    return entry


def entries():
    """All entries that the visitor may see. Deleted ones are among them without their text: see docs/page-load.md."""
    seen = "SELECT * FROM entries" if "moderator" in session else "SELECT * FROM entries WHERE approved"
    return [dict(entry) for entry in database().execute(f"{seen} ORDER BY id")]


@app.get("/")
@cometify.with_position
def guestbook():
    return render_template("guestbook.html", entries=entries(), is_moderator="moderator" in session)


@app.get("/entries")
def all_entries():
    return entries()


@app.post("/entries")
def write():
    return change("INSERT INTO entries (text) VALUES (:text)", text=written())


@app.post("/entries/<int:id>/<name>")
def moderate(id, name):
    if "moderator" not in session:
        abort(403)
    if name == "approve":
        return change("UPDATE entries SET approved = 1, version = version + 1 WHERE id = :id AND NOT deleted", id=id)
    if name == "edit":
        statement = "UPDATE entries SET text = :text, version = version + 1 WHERE id = :id AND NOT deleted"
        return change(statement, id=id, text=written())
    if name == "delete":
        return change("UPDATE entries SET text = '', deleted = 1, version = version + 1 WHERE id = :id", id=id)
    abort(404)


def written():
    text = request.form["text"].strip()
    if not text or len(text) > 1000:
        abort(400)
    return text


@cometify.token_route(app, "/push-token")
def rights():
    return Grant("moderators", sub=session["moderator"]) if "moderator" in session else None


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return render_template("login.html")
    if not hmac.compare_digest(request.form["password"].encode(), os.environ["MODERATOR_PASSWORD"].encode()):
        abort(403)
    session["moderator"] = f"moderator_{secrets.token_hex(8)}"
    return redirect("/")


@app.post("/logout")
def logout():
    moderator = session.pop("moderator", "nobody")
    try:
        cometify.client.disconnect(subject=moderator)  # other pages of this moderator hear nothing from now on
    except CometifyError as error:  # they end with their token, in ten minutes at most
        app.logger.warning("The pages of a moderator still listen: %s", error)
    return redirect("/")
