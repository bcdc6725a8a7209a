import type { Route } from "../route.ts";
import type { Service } from "../service.ts";
import { adminRoutes } from "./admin.ts";
import { answerRoutes } from "./answers.ts";
import { backupRoutes } from "./backups.ts";
import { boosterRoutes } from "./booster.ts";
import { dashboardRoutes } from "./dashboard.ts";
import { experimentRoutes } from "./experiments.ts";
import { fileRoutes } from "./files.ts";
import { healthRoutes } from "./health.ts";
import { internalRoutes } from "./internal.ts";
import { jobRoutes } from "./jobs.ts";
import { modelRoutes } from "./models.ts";
import { moderationRoutes } from "./moderations.ts";
import { organizationRoutes } from "./organization.ts";
import { policyRoutes } from "./policies.ts";
import { sessionRoutes } from "./session.ts";
import { streamRoutes } from "./stream.ts";
import { uploadRoutes } from "./uploads.ts";
import { webhookRoutes } from "./webhooks.ts";

/** All that this server answers, but the inference. */
export const routesOf = (service: Service): Route[] =>
  [
    fileRoutes,
    uploadRoutes,
    jobRoutes,
    modelRoutes,
    moderationRoutes,
    boosterRoutes,
    answerRoutes,
    streamRoutes,
    dashboardRoutes,
    policyRoutes,
    backupRoutes,
    adminRoutes,
    webhookRoutes,
    organizationRoutes,
    experimentRoutes,
    internalRoutes,
    healthRoutes,
    sessionRoutes,
  ].flatMap((routes) => routes(service));
