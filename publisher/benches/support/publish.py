"""Onionbalance's own classes publish one service again and again; says the processor time of each publish.

    python3 publish.py FOLDER

FOLDER has: frontend.pem, the key; hsdirs.first and hsdirs.second, a fingerprint in each line; control, the socket of a tor; backends, a folder with the descriptor of
each backend in a file named by its address; consensus and microdescs, what a tor has of the network. For each line of standard
input both descriptors are published twice, and the seconds of processor time of all threads come back: first as Onionbalance
does it, then with the HSDirs given to it, for which it otherwise sorts the whole ring each time. Nothing of Onionbalance is
changed but what it would ask of a tor.
"""

import os
import sys
import time
import types

import stem.connection
import stem.control
import stem.descriptor
import stem.socket
from onionbalance.common import log
from onionbalance.hs_v3 import consensus, hashring, onionbalance, service

folder = sys.argv[1]


def lines(name):
    with open(os.path.join(folder, name)) as file:
        return file.read().split()


log.get_logger().setLevel("CRITICAL")
control = stem.socket.ControlSocketFile(os.path.join(lines("control")[0]))
stem.connection.authenticate(control)
mine = onionbalance.my_onionbalance
connection = stem.control.BaseController(control, is_authenticated=True)
connection.get_microdescriptors = lambda: stem.descriptor.parse_file(
    open(os.path.join(folder, "microdescs"), "rb"), descriptor_type="microdescriptor 1.0")
with open(os.path.join(folder, "consensus")) as file:
    text = file.read()
mine.controller = types.SimpleNamespace(controller=connection, get_md_consensus=lambda: text)
mine.consensus = consensus.Consensus()
hsdirs = {True: lines("hsdirs.first"), False: lines("hsdirs.second")}
ring = hashring.get_responsible_hsdirs

addresses = sorted(os.listdir(os.path.join(folder, "backends")))
config = {"key": os.path.join(folder, "frontend.pem"), "instances": [{"address": address} for address in addresses]}
frontend = service.OnionbalanceService(config, os.path.join(folder, "config.yaml"))
for instance in frontend.instances:
    [address] = [address for address in addresses if address.startswith(instance.onion_address.split(".")[0])]
    with open(os.path.join(folder, "backends", address), "rb") as file:
        instance.register_descriptor(file.read(), instance.onion_address)



def publish(find):
    hashring.get_responsible_hsdirs = find
    frontend.first_descriptor = frontend.second_descriptor = None
    before = time.process_time()
    frontend.publish_descriptors()
    return time.process_time() - before


print("ready", frontend.onion_address, len(mine.consensus.nodes), flush=True)
for _line in sys.stdin:
    whole = publish(ring)
    given = publish(lambda _key, is_first: hsdirs[is_first])
    made = [frontend.first_descriptor, frontend.second_descriptor]
    print(whole, given, *(len(descriptor.get_intro_points()) for descriptor in made),
          *(descriptor.get_size() for descriptor in made), flush=True)
