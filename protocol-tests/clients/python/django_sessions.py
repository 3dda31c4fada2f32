"""Django's cache sessions under a threaded server. usage: django_sessions.py LARDER"""
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

LARDER = sys.argv[1]
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_COOKIE_AGE = 1000
SESSION_SAVE_EVERY_REQUEST = True
CACHES = {"default": {
    "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
    "LOCATION": LARDER,
}}
settings.configure(
    SESSION_ENGINE=SESSION_ENGINE, SESSION_COOKIE_AGE=SESSION_COOKIE_AGE, CACHES=CACHES, SECRET_KEY="of a test",
    SESSION_SAVE_EVERY_REQUEST=SESSION_SAVE_EVERY_REQUEST, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"], USE_TZ=True)


def answer(request, what):
    session = request.session
    if what == "login":
        session["name"] = request.GET["name"]
    elif what == "count":
        session["count"] = session.get("count", 0) + 1
    elif what == "logout":
        session.flush()
    said = f"{session.get('name', 'nobody')} {session.get('count', 0)}"
    return HttpResponse(said, headers={"X-Version": f"Django {django.get_version()}"})


urlpatterns = [path("<what>", answer)]


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = make_server("127.0.0.1", 0, get_wsgi_application(), Threaded)
print("serving", server.server_port, flush=True)
server.serve_forever()
