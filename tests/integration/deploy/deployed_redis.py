"""A Redis with the settings and users of compose.yaml."""

import subprocess

import redis

from deploy.launcher import redis_server
from deploy.processes import ports
from deploy.processes.process import wait_until
from deploy.setup.access import REDIS_RULES, redis_acl

PASSWORDS = {user: f"password-of-{user}" for user in (*REDIS_RULES, "setup", "operator")}


class DeployedRedis:
    """A server with the settings and the users of compose.yaml."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.port = ports.choose("127.0.0.1", {"redis": 0})["redis"]
        self.directory = directory
        (directory / "users.acl").write_text(redis_acl(PASSWORDS))
        self.start()

    def start(self):
        shared = str(redis_server._SHARED_SETTINGS)
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", ".", "--aclfile", "users.acl"]
        command = [str(self.binary), shared, *own]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        assert wait_until(self._answers, 20), (self.directory / "log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def as_user(self, user, password=None):
        return redis.Redis(port=self.port, username=user, password=password or PASSWORDS[user])

    def _answers(self):
        with redis.Redis(port=self.port, username="health", password="any") as client:
            try:
                return client.ping()
            except redis.ConnectionError:
                return False
