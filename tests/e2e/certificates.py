"""Authorities and certificates for tests, made by the openssl program."""
import os
import subprocess


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


class Authority:
    """Signs certificates; keeps all files in a folder of its own."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.cert, self.key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def path(self, name):
        return os.path.join(self.folder, name)

    def sign(self, name, days=2, purpose="serverAuth"):
        """(certificate, key) for 127.0.0.1; with days=-1 one that has expired."""
        cert, key, request, extension = (self.path(f"{name}.{kind}") for kind in ("pem", "key", "csr", "ext"))
        with open(extension, "w", encoding="ascii") as file:
            file.write(f"subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={purpose}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", days,
                "-extfile", extension, "-out", cert)
        os.chmod(key, 0o600)
        return cert, key
