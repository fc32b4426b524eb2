"""What no server of models can be faster than: HTTP answered without a model.

nginx's `return 200` is what the machine's loopback allows; the echo is modeltap's own protocol
class with nothing behind it.
"""

from benchmarks.contender import APPS, Contender, Place
from benchmarks.contenders.fastapi import requests

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/1; fastcgi_temp_path {folder}/2; uwsgi_temp_path {folder}/3;
  scgi_temp_path {folder}/4;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "0.9670537114143372"; }} }}
}}
"""


def nginx() -> Contender:
    return Contender(
        name="nginx",
        title="floor: nginx, return 200",
        environment=None,
        command=_nginx,
        requests=requests,
        score=float,
        programs=("nginx",),
        serves_model=False,
    )


def echo() -> Contender:
    return Contender(
        name="echo",
        title="floor: modeltap's HTTP protocol class, nothing behind it",
        environment=None,
        command=lambda place: [place.python, str(APPS / "echo_app.py"), str(place.port)],
        requests=requests,
        score=float,
        serves_model=False,
    )


def _nginx(place: Place) -> list[str]:
    path = place.folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=place.folder, port=place.port))
    return ["nginx", "-p", str(place.folder), "-c", str(path)]
