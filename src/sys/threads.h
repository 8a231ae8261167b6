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

// Runs `work` on a thread that nobody waits for. Made detached: std::thread::detach reads what a
// thread that ends meanwhile has freed (glibc bug 19951, there in 2.36).
Status start_detached(std::function<void()> work);

}  // namespace pare::sys
