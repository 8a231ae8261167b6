// The recorder's kernel side. One object, so that its programs share maps and globals.
#include "record/bpf/calls.h"
#include "record/bpf/capabilities.h"
#include "record/bpf/net.h"
#include "record/bpf/scope.h"
#include "record/bpf/uring.h"
