"""Certificates for tests, made with the openssl command: authorities, and what they issue."""

import os
import subprocess

_CA_CONFIG = """
[ca]
default_ca = this
[this]
dir = {directory}
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
certificate = {directory}/ca.pem
private_key = {directory}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = issued
[issued]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[any]
commonName = supplied
"""


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(arguments)} failed:\n{done.stderr}")


def _new_key():
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]


class Certificate:
    def __init__(self, pem, key):
        self.pem = pem
        self.key = key

    def replace(self, other):
        """The files of this one become those of the other."""
        for mine, theirs in ((self.pem, other.pem), (self.key, other.key)):
            with open(theirs, encoding="ascii") as file:
                text = file.read()
            with open(mine + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.replace(mine + ".new", mine)


class Authority:
    def __init__(self, directory, name="authority"):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.pem = os.path.join(self.directory, "ca.pem")
        self.config = os.path.join(self.directory, "ca.conf")
        self.issued = 0
        with open(self.config, "w", encoding="ascii") as file:
            file.write(_CA_CONFIG.format(directory=self.directory))
        open(os.path.join(self.directory, "index"), "w", encoding="ascii").close()
        with open(os.path.join(self.directory, "serial"), "w", encoding="ascii") as file:
            file.write("1000\n")
        _openssl("req", "-x509", *_new_key(), "-keyout", os.path.join(self.directory, "ca.key"), "-out", self.pem,
                 "-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, names, begin="20200101000000Z", end="20991231235959Z", common_name=None):
        """`names`: as in subjectAltName, such as "IP:127.0.0.1,DNS:parent.example"."""
        self.issued += 1
        stem = os.path.join(self.directory, f"{self.issued}")
        _openssl("req", *_new_key(), "-keyout", stem + ".key", "-out", stem + ".csr", "-subj",
                 f"/CN={common_name or f'subject-{self.issued}'}", "-addext", f"subjectAltName={names}")
        _openssl("ca", "-batch", "-notext", "-config", self.config, "-in", stem + ".csr", "-out", stem + ".pem",
                 "-startdate", begin, "-enddate", end)
        return Certificate(stem + ".pem", stem + ".key")

    def issue_expired(self, names):
        return self.issue(names, end="20200102000000Z")
