"""The near side: what Linux's qcom_bam_dmux does."""
