"""The program that serves one model file until it is told to stop: `python llama.py FILE NAME ANNOUNCEMENT`."""

import os
import signal
import sys
from pathlib import Path

import xllamacpp

SLOTS = 4
SLOT_TOKENS = 2048  # What SmolLM2-135M was trained for.
THREADS = 2
STOPS = (signal.SIGINT, signal.SIGTERM)


def parameters(file: str, name: str) -> xllamacpp.CommonParams:
    made = xllamacpp.CommonParams()
    made.model.path = file
    made.model_alias = {name}
    made.n_parallel = SLOTS
    made.n_ctx = SLOTS * SLOT_TOKENS
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = THREADS
    made.n_gpu_layers = 0
    made.fit_params = False
    made.cache_ram_mib = 64
    made.verbosity = 2  # warnings and errors
    made.sampling.temp = 0.2  # a model this small wanders at the usual 0.8; a request may ask for another
    made.ui = made.endpoint_slots = False  # the slots would show what others ask
    made.cors_origins = ""  # no web page may ask
    return made


def main(file: str, name: str, announcement: Path) -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)  # A shell that starts us in the background has SIGINT ignored.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # The server's threads inherit it, so that `sigwait` gets the signal.
    try:
        server = xllamacpp.Server(parameters(file, name))
    except RuntimeError:
        sys.exit(os.EX_DATAERR)  # llama.cpp has said what is wrong with the file.
    unfinished = announcement.with_suffix(".new")
    unfinished.write_text(server.listening_address)
    unfinished.rename(announcement)
    signal.sigwait(STOPS)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
