"""The names of the embedded cluster, and the answers of its DNS server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from harness.cluster.netns.addresses import Addresses, family_of
from harness.model import Family, ServiceType, State

CLUSTER_DOMAIN = "svc.cluster.local."
_TTL_S = 5
_FORMAT_ERROR = bytes([0, 0, 0x80, dns.rcode.FORMERR]) + bytes(8)


@dataclass(frozen=True, slots=True)
class Zone:
    """What every name stands for; names are absolute, in lower case, with the last dot."""

    names: Mapping[str, tuple[str, ...]]


def service_name(namespace: str, name: str) -> str:
    """Return the absolute name of a Service."""
    return f"{name}.{namespace}.{CLUSTER_DOMAIN}"


def zone(state: State, addresses: Addresses) -> Zone:
    """Collect the names of Services and outside hosts; a headless one stands for its pods."""
    names: dict[str, tuple[str, ...]] = {}
    for service in state.services:
        if service.type is ServiceType.HEADLESS:
            ips = tuple(ip for pod in state.endpoints(service) for ip in addresses.pods[pod.ref])
        else:
            ips = addresses.services[service.namespace, service.name]
        names[service_name(service.namespace, service.name).lower()] = ips
    for host in state.externals:
        for name in host.dns_names:
            absolute = name.lower().rstrip(".") + "."
            names[absolute] = names.get(absolute, ()) + addresses.externals[host.name]
    return Zone(names)


def answer(zone_: Zone, query: bytes) -> bytes:
    """Answer a query; what is not a query gets a format error, since every probe needs an answer.

    A name without an address of the family asked for exists all the same: NOERROR, empty.
    """
    try:
        question = dns.message.from_wire(query)
        response = dns.message.make_response(question)
    except (dns.exception.DNSException, ValueError):
        return _FORMAT_ERROR
    response.flags |= dns.flags.AA
    asked = question.question[0] if question.question else None
    if asked is None:
        response.set_rcode(dns.rcode.FORMERR)
        return response.to_wire()
    ips = zone_.names.get(asked.name.to_text().lower())
    if ips is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()
    found = [ip for ip in ips if _record_type(ip) == asked.rdtype]
    if found:
        kind = dns.rdatatype.to_text(asked.rdtype)
        response.answer.append(dns.rrset.from_text(asked.name, _TTL_S, "IN", kind, *found))
    return response.to_wire()


def query_for(name: str, family: Family) -> bytes:
    """Build the query for the addresses of one family."""
    kind = dns.rdatatype.AAAA if family is Family.V6 else dns.rdatatype.A
    return dns.message.make_query(name, kind).to_wire()


def read_answer(query: bytes, response: bytes) -> tuple[str, ...] | str | None:
    """Return the addresses, or the response code in words, or None if it answers another query."""
    try:
        asked = dns.message.from_wire(query)
        answered = dns.message.from_wire(response)
    except (dns.exception.DNSException, ValueError):
        return None
    if not asked.is_response(answered):
        return None
    if answered.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answered.rcode())
    return tuple(item.to_text() for rrset in answered.answer for item in rrset)


def _record_type(ip: str) -> dns.rdatatype.RdataType:
    return dns.rdatatype.AAAA if family_of(ip) is Family.V6 else dns.rdatatype.A
