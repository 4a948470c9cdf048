// Runs a job: samples in groups, steps in blocks, threads over groups or, with fewer, within each.
#pragma once

#include <functional>
#include <memory>

#include "context.hpp"

namespace spikewright {

// After an interruption some samples have been through the run and some have not.
// Where a plan calls, the batch is one group, its steps blocks of their own, and one thread does all of
// it. An exception of a call ends the run.
// There, weights that are no longer finite end it too: the state then holds them.
// `interrupted` is asked from the calling thread, some ten times a second.
Outcome run(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted);

// A job that is run again and again on one thread, as long as its arrays stay: buffers are made once.
class Repeated {
  public:
    Repeated(Job job, const Kernels& kernels);
    ~Repeated();
    // `first` steps were done before; `desks` are of this run.
    Outcome run(std::size_t first, std::vector<Desk> desks, const std::function<bool()>& interrupted);

  private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace spikewright
