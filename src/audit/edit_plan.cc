#include "audit/edit_plan.h"

#include <algorithm>

namespace pare::audit {
namespace {

using Path = std::vector<std::string>;

void push_unique(OrderedJson* list, const OrderedJson& item) {
  if (std::find(list->begin(), list->end(), item) == list->end()) list->push_back(item);
}

// Puts a value into new JSON at a path, making objects on the way.
void put(OrderedJson* root, const Path& path, size_t from, const OrderedJson& value, bool append) {
  OrderedJson* at = root;
  for (size_t i = from; i < path.size(); ++i) {
    if (!at->is_object()) *at = OrderedJson::object();
    at = &(*at)[path[i]];
  }
  if (!append) {
    *at = value;
  } else {
    if (!at->is_array()) *at = OrderedJson::array();
    push_unique(at, value);
  }
}

class Planner {
 public:
  Planner(const YamlDocument& document, Dialect dialect) : doc_(document), dialect_(dialect) {}

  std::optional<Unread> take(const Operation& op) {
    bool item = op.kind == Operation::kRemoveItem;
    bool on_tree = op.kind != Operation::kReplace && op.kind != Operation::kAddDocument;
    if (on_tree && (item ? op.item : op.map) >= doc_.nodes.size()) {
      return Unread{0, "the place is not in this document"};
    }
    switch (op.kind) {
      case Operation::kSet:
        return set(op, false);
      case Operation::kAppend:
        return set(op, true);
      case Operation::kRemoveKey:
        return remove_key(op);
      case Operation::kRemoveItem:
        return remove_item(op.item);
      case Operation::kReplace:
      case Operation::kAddDocument:
        return std::nullopt;  // not on the tree
    }
    return std::nullopt;
  }
  std::optional<Unread> settle();
  EditPlan plan;

 private:
  const Node& at(NodeId id) const { return doc_.at(id); }
  Unread no(NodeId id, std::string why) const { return {at(id).span.begin, std::move(why)}; }

  // Editing inside an anchored node would change every place that its aliases stand in.
  std::optional<Unread> shared(NodeId id) const {
    for (NodeId up = id; up != kNoNode; up = at(up).parent) {
      if (at(up).aliased)
        return no(up, "the place is anchored (&" + std::string(at(up).anchor) +
                          ") and stands for others too");
    }
    if (at(id).kind == NodeKind::kAlias) return no(id, "an alias stands in the place");
    return std::nullopt;
  }

  struct Pair {
    NodeId key = kNoNode, value = kNoNode;
  };
  // As written, not merged; the last duplicate, which is the one that counts.
  Pair find(NodeId map, std::string_view key) const {
    Pair found;
    for (NodeId k = at(map).first; k != kNoNode;) {
      NodeId v = at(k).next;
      if (v == kNoNode) break;
      if (at(k).kind == NodeKind::kScalar && at(k).text == key) found = {k, v};
      k = at(v).next;
    }
    return found;
  }

  bool empty_value(NodeId id) const {
    const Node& node = at(id);
    if (node.kind == NodeKind::kScalar) return resolve_scalar(node).type == ScalarType::kNull;
    return node.first == kNoNode;
  }

  std::optional<Unread> replace(NodeId id, const Path& path, size_t from, const OrderedJson& value,
                                bool append) {
    if (has_template(at(id).text)) return no(id, "a template stands in the place");
    OrderedJson& target = plan.replaced[id];
    put(&target, path, from, value, append);
    return std::nullopt;
  }

  std::optional<Unread> append_to(NodeId list, const OrderedJson& item) {
    for (NodeId i = at(list).first; i != kNoNode; i = at(i).next) {
      View there(doc_, i, dialect_);
      if (item.is_string() && there.as_text() == item.get<std::string>()) return std::nullopt;
      if (item.is_object() && item.contains("name") &&
          there.get("name").as_text() == item["name"].get<std::string>()) {
        return std::nullopt;
      }
    }
    std::vector<OrderedJson>& items = plan.appended[list];
    if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
    return std::nullopt;
  }

  // The path has ended at a value that exists.
  std::optional<Unread> arrive(NodeId id, const Operation& op, bool append) {
    if (auto why = shared(id)) return why;
    if (at(id).kind == NodeKind::kSeq && at(id).first != kNoNode) {
      if (append) return append_to(id, op.value);
      if (!op.value.is_array()) return no(id, "a list stands in the place");
      for (const OrderedJson& item : op.value) append_to(id, item);
      return std::nullopt;
    }
    if (append && !empty_value(id)) return no(id, "no list stands in the place");
    if (at(id).kind == NodeKind::kMap && at(id).first != kNoNode) {
      return no(id, "a mapping stands in the place");
    }
    if (at(id).style == NodeStyle::kLiteral || at(id).style == NodeStyle::kFolded) {
      return no(id, "a block of text stands in the place");
    }
    return replace(id, {}, 0, op.value, append);
  }

  std::optional<Unread> set(const Operation& op, bool append) {
    NodeId map = op.map;
    if (auto why = shared(map)) return why;
    if (op.path.empty()) return arrive(map, op, append);
    for (size_t i = 0; i < op.path.size(); ++i) {
      if (at(map).kind != NodeKind::kMap) {
        if (!empty_value(map)) return no(map, "a mapping was expected here");
        return replace(map, op.path, i, op.value, append);
      }
      if (at(map).first == kNoNode) return replace(map, op.path, i, op.value, append);
      Pair pair = find(map, op.path[i]);
      if (pair.value == kNoNode) return insert(map, op, i, append);
      if (auto why = shared(pair.value)) return why;
      if (i + 1 == op.path.size()) return arrive(pair.value, op, append);
      map = pair.value;
    }
    return std::nullopt;
  }

  std::optional<Unread> insert(NodeId map, const Operation& op, size_t from, bool append) {
    if (View(doc_, map, dialect_).get(op.path[from])) {
      return no(map, "'" + op.path[from] + "' comes in through a merge key");
    }
    OrderedJson& fresh = plan.inserted[map];
    put(&fresh, op.path, from, op.value, append);
    return std::nullopt;
  }

  std::optional<Unread> remove_key(const Operation& op) {
    if (auto why = shared(op.map)) return why;
    if (at(op.map).kind != NodeKind::kMap) return no(op.map, "a mapping was expected here");
    Pair pair = find(op.map, op.path.at(0));
    if (pair.key == kNoNode) return no(op.map, "'" + op.path[0] + "' comes in through a merge key");
    plan.removed.insert(pair.key);
    return std::nullopt;
  }

  std::optional<Unread> remove_item(NodeId item) {
    NodeId list = at(item).parent;
    if (list == kNoNode || at(list).kind != NodeKind::kSeq) return no(item, "no list item");
    if (auto why = shared(list)) return why;
    plan.removed.insert(item);
    return std::nullopt;
  }

  const YamlDocument& doc_;
  Dialect dialect_;
};

// A list or mapping that loses all it has goes with its key.
std::optional<Unread> Planner::settle() {
  std::set<NodeId> parents;
  for (NodeId id : plan.removed) parents.insert(at(id).parent);
  for (NodeId parent : parents) {
    bool map = at(parent).kind == NodeKind::kMap;
    size_t left = 0;
    for (NodeId i = at(parent).first; i != kNoNode;) {
      left += plan.removed.count(i) == 0 ? 1 : 0;
      NodeId next = at(i).next;
      i = map && next != kNoNode ? at(next).next : next;
    }
    bool refilled = plan.appended.count(parent) != 0 || plan.inserted.count(parent) != 0;
    if (left > 0) continue;
    if (refilled) return no(parent, "everything in the place goes and comes anew");
    NodeId above = at(parent).parent;
    if (above == kNoNode || at(above).kind != NodeKind::kMap) {
      return no(parent, "nothing would be left in this item");
    }
    for (NodeId k = at(above).first; k != kNoNode;) {
      NodeId v = at(k).next;
      if (v == parent) {
        size_t others = 0;
        for (NodeId o = at(above).first; o != kNoNode; o = at(at(o).next).next) {
          others += o != k && plan.removed.count(o) == 0 ? 1 : 0;
        }
        if (others == 0) return no(above, "nothing would be left in this mapping");
        plan.removed.insert(k);
      }
      k = v == kNoNode ? kNoNode : at(v).next;
    }
  }
  return std::nullopt;
}
}  // namespace

bool EditPlan::gone(const YamlDocument& document, NodeId id) const {
  for (NodeId up = id; up != kNoNode; up = document.at(up).parent) {
    if (removed.count(up) != 0) return true;
    // A removed key takes its value along: the value is the sibling after it.
    NodeId parent = document.at(up).parent;
    if (parent == kNoNode || document.at(parent).kind != NodeKind::kMap) continue;
    for (NodeId k : removed) {
      if (document.at(k).next == up && document.at(k).parent == parent) return true;
    }
  }
  return false;
}

tl::expected<EditPlan, Unread> plan_edits(const YamlDocument& document, Dialect dialect,
                                          const std::vector<Operation>& operations) {
  Planner planner(document, dialect);
  for (const Operation& op : operations) {
    if (auto why = planner.take(op)) return tl::unexpected(*why);
  }
  if (auto why = planner.settle()) return tl::unexpected(*why);
  EditPlan& plan = planner.plan;
  auto drop = [&](auto& edits) {
    for (auto it = edits.begin(); it != edits.end();) {
      it = plan.gone(document, it->first) ? edits.erase(it) : std::next(it);
    }
  };
  drop(plan.replaced);
  drop(plan.inserted);
  drop(plan.appended);
  return std::move(planner.plan);
}

}  // namespace pare::audit
