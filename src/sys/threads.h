// Threads that no signal is delivered to: signals stay with the threads that expect them.
#pragma once

#include <functional>
#include <thread>

#include "base/result.h"

namespace pare::sys {

// Runs `then` on a thread of its own, after `first` (entering a namespace, say) went well there;
// else the thread has ended, and the error is returned.
Result<std::thread> start_thread(std::function<void()> then,
                                 const std::function<Status()>& first = {});

}  // namespace pare::sys
