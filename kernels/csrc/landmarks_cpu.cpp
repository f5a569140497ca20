// The normal equations of a body's landmarks as Python calls them.

#include "landmarks_cpu.h"

extern "C" void landmarks_linearise(const CarriedPointsData* rig, const double* rotations, const double* betas,
                                    const double* transl, const LandmarkSeenData* seen, const LandmarkSystemData* out) {
  thread_local kernels::Linearisation linearisation;
  linearisation.run(*rig, rotations, betas, transl, *seen, *out);
}

extern "C" void landmarks_pose(const CarriedPointsData* rig, const double* rotations, const double* betas,
                               const LandmarkSystemData* out) {
  kernels::pose_points(*rig, rotations, betas, *out);
}

extern "C" double landmarks_pull(const RotationPullData* pull, const double* rotations, int joints, int unknowns,
                                 double* gradient, double* matrix) {
  return kernels::pull_all(*pull, rotations, joints, unknowns, gradient, matrix);
}
