// Runs a job: samples in groups, steps in blocks, threads over groups or, with fewer, within each.
#pragma once

#include <functional>
#include <memory>

#include "context.hpp"

namespace spikewright {

// After an interruption some samples have been through the run and some have not.
// In a plan with callbacks the batch is one group, each step is a block, and one thread runs all of it. An
// exception of a callback ends the run, and so do weights that are no longer finite: the state then holds them.
// `interrupted` is called from the calling thread, some ten times a second.
Outcome run(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted);

// A job that is run again and again on one thread with the same arrays: its buffers are made once.
class PreparedJob {
  public:
    PreparedJob(Job job, const Kernels& kernels);
    ~PreparedJob();
    // `first` steps were done before; `callbacks` are of this run.
    Outcome run(std::size_t first, std::vector<Callback> callbacks, const std::function<bool()>& interrupted);

  private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace spikewright
