"""Flask-Session under Flask's threaded server. usage: flask_sessions.py LARDER"""
import sys
from importlib.metadata import version

from flask import Flask, request, session
from flask_session import Session
from pymemcache.client.base import PooledClient
from pymemcache.client.retrying import RetryingClient
from werkzeug.serving import make_server

LARDER = sys.argv[1]
app = Flask(__name__)
app.config["SESSION_TYPE"] = "memcached"
app.config["SESSION_MEMCACHED"] = RetryingClient(PooledClient(LARDER, max_pool_size=8), attempts=9)
app.config["PERMANENT_SESSION_LIFETIME"] = 1000
Session(app)


@app.get("/<what>")
def answer(what):
    if what == "login":
        session["name"] = request.args["name"]
    elif what == "count":
        session["count"] = session.get("count", 0) + 1
    elif what == "logout":
        session.clear()
    said = f"{session.get('name', 'nobody')} {session.get('count', 0)}"
    return said, {"X-Version": f"Flask-Session {version('Flask-Session')}, Flask {version('Flask')}"}


server = make_server("127.0.0.1", 0, app, threaded=True)
print("serving", server.server_port, flush=True)
server.serve_forever()
