#!/usr/bin/python3
"""A real gRPC server with the standard health service: health_over_grpc.py PORT [none].

The server as a whole serves, the service "down" does not, others are not known; "none" leaves the
health service out. The messages are two bytes each, so no generated code is needed. (A script that
were named grpc_health would be imported by grpc itself.)
"""
import sys
from concurrent import futures

import grpc

STATUS = {b"": 1, b"\x0a\x04down": 2}  # HealthCheckRequest -> ServingStatus


def check(request, context):
    if request not in STATUS:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, STATUS[request]])


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    if "none" not in sys.argv:
        handler = grpc.unary_unary_rpc_method_handler(check)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
    if server.add_insecure_port("0.0.0.0:" + sys.argv[1]) == 0:
        sys.exit("cannot listen")
    server.start()
    server.wait_for_termination(timeout=600)


main()
