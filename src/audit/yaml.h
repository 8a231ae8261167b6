// The YAML reader, which target/ uses for the same files, under audit's own names.
#pragma once

#include "target/yaml_view.h"

namespace pare::audit {

using target::yaml::check_encoding;
using target::yaml::Dialect;
using target::yaml::has_template;
using target::yaml::has_variable;
using target::yaml::kNoNode;
using target::yaml::Node;
using target::yaml::NodeId;
using target::yaml::NodeKind;
using target::yaml::NodeStyle;
using target::yaml::parse_yaml;
using target::yaml::Part;
using target::yaml::resolve_scalar;
using target::yaml::Scalar;
using target::yaml::ScalarType;
using target::yaml::Span;
using target::yaml::split_documents;
using target::yaml::Unread;
using target::yaml::View;
using target::yaml::YamlDocument;

}  // namespace pare::audit
