// The CUDA kernels, compiled for the CPU, in the words of cuda_on_cpu.h (-include): one entry point each.

#include "body_step_cuda.cu"
#include "ellipsoids_cuda.cu"
#include "raster_cuda.cu"

#define EMULATED(kernel, Arguments)                                                                    \
  extern "C" void emulated_##kernel(unsigned x, unsigned y, unsigned threads, const void* arguments) { \
    const auto copy = *static_cast<const kernels::Arguments*>(arguments);                              \
    emulated::run_grid(x, y, threads, [copy] { kernels::kernel(copy); });                              \
  }

EMULATED(raster_fill, RasterArguments)
EMULATED(raster_resolve, ResolveArguments)
EMULATED(raster_overlay, OverlayArguments)
EMULATED(raster_add_normals, NormalsArguments)
EMULATED(raster_scale_normals, NormalsArguments)
EMULATED(ellipsoids_boxes, CudaEllipsoids)
EMULATED(ellipsoids_render, RenderArguments)
EMULATED(ellipsoids_render_backward, RenderBackwardArguments)
EMULATED(ellipsoids_likelihood, LikelihoodArguments)
EMULATED(body_pose, PoseArguments)
EMULATED(body_skin, PoseArguments)
EMULATED(body_mix, MixArguments)
EMULATED(body_mix_backward, MixArguments)
EMULATED(body_limbs_backward, MixArguments)
EMULATED(body_skin_backward, PoseBackwardArguments)
EMULATED(body_pose_backward, PoseBackwardArguments)
EMULATED(body_keypoints, TermsArguments)
EMULATED(body_linear, TermsArguments)
EMULATED(body_adam, AdamArguments)
