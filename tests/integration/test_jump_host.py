"""A host that only its jump host may reach, from bare to provisioned."""

from ipaddress import ip_address, ip_network

import pytest

from deployments.lab.boot import Lab
from deployments.lab.keys import ensure_ssh_key
from infra.access.ssh import connect
from infra.errors import Unreachable
from infra.host.provision import look, pin_host_keys, require_in_order
from infra.model.site import Host, Jump
from tests.integration.hosts import change_all, target_for, with_host


def test_a_host_behind_a_jump_host_is_provisioned_and_reached_only_from_there(
    lab: Lab, bare_host
) -> None:
    jump, behind = bare_host("jump"), bare_host("behind")
    public = ensure_ssh_key(behind.ssh_key)
    jump.machine.write("/root/.ssh/authorized_keys", f"{public}\n".encode())
    host = Host(
        address=behind.address,
        host_key=behind.host_key,
        admin_keys=(public,),
        ssh_from=(ip_network(jump.address),),
        jump=Jump(address=jump.address, user="root", host_key=jump.host_key),
    )
    target = target_for(lab, host, behind.ssh_key.parent)
    assert pin_host_keys(target)
    assert look(target).peer == ip_address(jump.address)
    change_all(target)

    assert require_in_order(target).round_trips == 1
    assert jump.address in behind.machine.check("cat", "/etc/fail2ban/jail.d/meshkeeper.local")
    with pytest.raises(Unreachable), connect(with_host(target, jump=None).admin):
        pass
