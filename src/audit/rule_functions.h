// The functions behind the rule table.
#pragma once

#include "audit/rules.h"

namespace pare::audit {

void check_privileged(Scope& scope);
void check_capability_added(Scope& scope);
void check_capabilities_kept(Scope& scope);
void check_root(Scope& scope);
void check_user_unset(Scope& scope);
void check_escalation(Scope& scope);
void check_writable_root(Scope& scope);
void check_seccomp(Scope& scope);
void check_seccomp_unset(Scope& scope);
void check_apparmor(Scope& scope);
void check_proc_mount(Scope& scope);
void check_init_chown(Scope& scope);

void check_host_network(Scope& scope);
void check_host_pid(Scope& scope);
void check_host_ipc(Scope& scope);
void check_host_other(Scope& scope);
void check_host_path(Scope& scope);
void check_runtime_socket(Scope& scope);
void check_devices(Scope& scope);
void check_volume_types(Scope& scope);
void check_sysctls(Scope& scope);

void check_ports(Scope& scope);
void check_published(Scope& scope);
void check_services(Scope& scope);
void check_network_policy(Scope& scope);
void check_open_egress(Scope& scope);
void check_pull_and_serve(Scope& scope);
void check_probe_hosts(Scope& scope);

void check_telemetry(Scope& scope);
void check_telemetry_unknown(Scope& scope);
void check_plain_keys(Scope& scope);
void check_serving_keys(Scope& scope);
void check_image_tag(Scope& scope);
void check_image_digest(Scope& scope);
void check_chmod_777(Scope& scope);
void check_entry_chown(Scope& scope);
void check_admin_api(Scope& scope);
void check_dev_mode(Scope& scope);
void check_ld_preload(Scope& scope);
void check_vulnerable(Scope& scope);
void check_service_account(Scope& scope);
void check_probes(Scope& scope);
void check_memory_limit(Scope& scope);
void check_pids_limit(Scope& scope);
void check_shared_cache(Scope& scope);
void check_not_judged(Scope& scope);
void check_build_steps(Scope& scope);
void check_against_proof(Scope& scope);

// The number at which this container's server takes inference, by its settings or its family's
// default; 0 when not known.
uint16_t inference_port(const Container& container);

}  // namespace pare::audit
