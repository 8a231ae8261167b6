// Operations settled on nodes: what a document is to become.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "audit/edit.h"

namespace pare::audit {

struct EditPlan {
  std::map<NodeId, OrderedJson> replaced;                    // a scalar, null or empty collection
  std::map<NodeId, OrderedJson> inserted;                    // map -> new keys
  std::map<NodeId, std::vector<OrderedJson>> appended;       // list -> new items
  std::set<NodeId> removed;                                  // items, and keys (by the key's node)
  bool gone(const YamlDocument& document, NodeId id) const;  // it or something above it is removed
};

// The plan, or the first operation's reason for not being possible.
tl::expected<EditPlan, Unread> plan_edits(const YamlDocument& document, Dialect dialect,
                                          const std::vector<Operation>& operations);

}  // namespace pare::audit
