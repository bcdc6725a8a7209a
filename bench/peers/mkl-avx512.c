/* Loaded before MKL: answers its question whether the processor is Intel's, so that AMD processors get the AVX-512 kernels, too. */
int mkl_serv_intel_cpu_true(void) { return 1; }
