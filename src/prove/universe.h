// What the target is granted today, privilege by privilege, and the policies in between.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "privilege/policy.h"
#include "privilege/privilege.h"
#include "prove/prover.h"
#include "target/servers.h"

namespace pare::prove {

using privilege::Axis;
using privilege::Privilege;

constexpr const char* kPortStart = "net.ipv4.ip_unprivileged_port_start";

// One privilege that a trial can withhold.
struct Element {
  Privilege privilege;
  bool asked = true;                  // granted today; else it only stands in for one that is
  bool used = false;                  // the baseline exercised it
  std::string used_by;                // by what, one clause: "socket(AF_PACKET)"
  std::vector<std::string> evidence;  // ids of facts
  evidence::Phase phase = evidence::Phase::kServe;  // pull: used before readiness alone
};

// A path that answers on a port of the checks and that no check asks for.
struct OpenEndpoint {
  Element element;
  uint16_t port = 0;
  std::string method, path, role;
  const target::ServerEndpoint* known = nullptr;  // its row; nullptr: none of this family
};

// Changes of the server's own settings that hold for every trial once they are adopted.
struct Switches {
  std::vector<std::string> arguments;              // appended
  std::vector<std::string> without;                // left out
  std::map<std::string, std::string> environment;  // set
  std::map<size_t, std::string> words;             // of its command, replaced by position
  std::map<uint16_t, uint16_t> ports;              // where it listens today, and then
  bool empty() const {
    return arguments.empty() && without.empty() && environment.empty() && words.empty();
  }
  void add(const target::ServerSwitch& more);
  void add(const Switches& more);
};

struct TmpfsForm {
  bool copy_up = false;
  bool exec = false;
  bool operator==(const TmpfsForm&) const = default;
};

// A point of the search: what is granted, and the settings that stand in for what is not.
struct Choice {
  std::set<Privilege> granted;
  // Where user/root is withheld; its groups come on top of those that are asked for and granted.
  privilege::User user;
  std::map<std::string, TmpfsForm> forms;  // of writable paths
  std::map<std::string, std::string> environment;
  std::set<std::string> calls;  // allowed although the baseline never made them
  std::set<std::string> owned;  // volumes that belong to `user` from the start
  bool today_ports = false;     // it listens where it does today, whatever was adopted
  bool operator==(const Choice&) const = default;
};

class Universe {
 public:
  // `baselines`: evidence of the baseline's runs; empty without a recorder.
  // can_raise_memlock: as TrialRunner says.
  Universe(const Question& question, std::vector<uint16_t> check_ports,
           std::vector<evidence::Evidence> baselines, bool can_raise_memlock = true);

  // Least dangerous first: what is kept by preference stands before what goes by preference.
  const std::vector<Element>& elements() const { return elements_; }
  const Element* find(const Privilege& privilege) const;
  bool has(const Privilege& privilege) const { return find(privilege) != nullptr; }
  // Whether a trial of `choice` withholds it.
  bool lacks(const Choice& choice, const Privilege& privilege) const {
    return has(privilege) && choice.granted.count(privilege) == 0;
  }
  // A writable path or a risky system call that a later run brought to light.
  void add(Element element);

  privilege::Policy policy(const Choice& choice) const;
  // Asked for and not granted by `policy`, ports included.
  std::vector<Privilege> withheld(const Choice& choice) const;
  // Everything granted, with the settings of `choice`.
  Choice everything(const Choice& choice) const;
  // Most dangerous first.
  std::vector<Privilege> by_danger(const std::set<Privilege>& set) const;

  bool recorded() const { return !baselines_.empty(); }
  // Whether a capability reaches the server under this choice at all.
  bool capabilities_reach(const Choice& choice) const;
  bool root_asked() const { return question_.asked.user.uid == 0; }
  const Question& question() const { return question_; }
  const std::vector<uint16_t>& check_ports() const { return check_ports_; }
  const std::vector<evidence::Evidence>& baselines() const { return baselines_; }
  // Paths that answer, as the baselines or `evidence` (of a run under other settings) show them.
  std::vector<OpenEndpoint> open_endpoints(const std::vector<verdict::CheckEntry>& checks) const;
  std::vector<OpenEndpoint> open_endpoints(const std::vector<verdict::CheckEntry>& checks,
                                           const evidence::Evidence& evidence) const;
  // By its own words, else by image or command; nullptr: not recognised.
  const target::Server* server() const { return server_; }
  // From now on every policy holds them.
  void adopt(Switches switches) { switches_ = std::move(switches); }
  // How its own settings would move every port below the platform's first free one; empty where
  // none is known to, or where none is below.
  const Switches& port_move() const { return port_move_; }
  void adopt_port_move() { moved_ = true; }
  bool moved() const { return moved_; }
  uint64_t first_free_port() const;
  // What the engine appends to the entry point.
  std::vector<std::string> command() const;
  // The whole target, with settings changed.
  privilege::Policy with_switches(privilege::Policy policy, const Switches& switches) const;
  // Variables that send a server without a home to /tmp: those that any takes, then its family's.
  std::map<std::string, std::string> home_variables() const;
  bool can_raise_memlock() const { return can_raise_memlock_; }

  // Ports that are published or listen, without those of the checks.
  const std::vector<Element>& other_ports() const { return other_ports_; }

 private:
  void add_asked();
  void add_used_calls();
  void add_written();
  void add_port_start();
  void add_memlock();
  void add_driver_capabilities();
  void recognise();
  void withhold_driver_capabilities(const Choice& choice, privilege::Policy& policy) const;
  void mark_used();
  void mark_ports();
  void sort();
  privilege::SeccompProfile profile(const Choice& choice, bool no_new_privileges) const;
  std::vector<uint32_t> groups(const Choice& choice, bool root_withheld) const;
  void restrict_limits(const Choice& choice, privilege::Policy& policy) const;
  void restrict_process(const Choice& choice, privilege::Policy& policy) const;
  bool executes_in(const std::string& directory) const;
  void restrict_files(const Choice& choice, privilege::Policy& policy) const;

  const Question& question_;
  std::vector<uint16_t> check_ports_;
  std::vector<evidence::Evidence> baselines_;
  std::vector<Element> elements_;
  std::vector<Element> other_ports_;
  bool can_raise_memlock_ = true;
  const target::Server* server_ = nullptr;
  Switches switches_, port_move_;
  bool moved_ = false;
  uint64_t pids_limit_ = 0;
};

// Calls that are judged one by one when they were used.
const std::vector<std::string>& risky_calls();

// Calls that a runtime's own filter lets through only beside a capability which they do not take
// themselves (moby profiles/seccomp/default.json); judged together, as syscall/NAME.
struct GatedCalls {
  std::string name;
  std::string capability;
  std::vector<std::string> calls;
};
const std::vector<GatedCalls>& gated_calls();

// The calls behind syscall/VALUE.
std::vector<std::string> calls_of(const std::string& value);
// The privilege that a call is judged by; without a value where it is not judged by itself.
Privilege judged_by(const std::string& call);

// The supplementary group of that number.
Privilege group_privilege(uint32_t gid);

// What can stand in for a capability without being root's alone: the port sysctl for
// NET_BIND_SERVICE, a higher memlock limit for IPC_LOCK; else the capability itself.
Privilege stand_in(const std::string& capability);

// Whether the recorder sees when a privilege of the axis is exercised.
bool leaves_trace(privilege::Axis axis);

}  // namespace pare::prove
