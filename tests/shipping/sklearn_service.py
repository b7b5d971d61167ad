"""A small prediction service around a real scikit-learn model, in an environment of its own (.cache/sklearn).

python sklearn_service.py PORT
"""

from __future__ import annotations

import contextlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from sklearn.datasets import load_iris  # type: ignore[import-not-found]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]

from stream_monitor import shipping
from stream_monitor.shipping.prediction import log_predictions

CLASSES = ("setosa", "versicolor", "virginica")
iris = load_iris()
model = LogisticRegression(max_iter=500).fit(iris.data, iris.target)


@log_predictions(model_version="iris-1", service="ml.iris", classes=CLASSES)
def predict(rows):
    if rows.shape[1] != 4:
        raise ValueError(f"{rows.tolist()} has not four columns")
    return model.predict_proba(rows)


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        rows = np.array(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        try:
            answer, code = predict(rows).tolist(), 200
        except ValueError:
            answer, code = None, 400
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    shipping.configure("ml")
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service)
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
