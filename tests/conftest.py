"""What all tests share: one thread for BLAS, as the tracker has it, since its matrices are small."""

from threadpoolctl import threadpool_limits

threadpool_limits(limits=1, user_api="blas")
